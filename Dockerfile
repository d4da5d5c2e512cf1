# Two images from one file: DEVICE=cpu runs on any machine, DEVICE=gpu includes CUDA 13 and cuDNN 9.
ARG BASE_IMAGE=python:3.12-slim-bookworm

# hadolint ignore=DL3006
FROM ${BASE_IMAGE} AS build
ARG DEVICE=cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY pyproject.toml constraints.txt docker/requirements.py ./
# The dependencies are a layer of their own, so that a change of the code does not reinstall them.
RUN python requirements.py "$DEVICE" > requirements.txt \
    && python -m venv --without-pip /app \
    && pip --python /app/bin/python install --constraint constraints.txt --requirement requirements.txt
COPY README.md LICENSE ./
# heed/model and heed/service are links to the folders model and service.
COPY heed heed
COPY model model
COPY service service
COPY bundles /bundles
COPY docker/healthcheck.py /app/healthcheck.py
# Any user may read them, whatever the permissions of the checkout are.
RUN pip --python /app/bin/python install --no-deps . && chmod -R a+rX /app /bundles

# hadolint ignore=DL3006
FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="Heed" \
      org.opencontainers.image.description="Text classification that shows how much each word contributes to the label" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/app/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HEED_HOST=0.0.0.0 \
    HEED_PORT=8000 \
    HEED_BUNDLES=/bundles
COPY --from=build /app /app
COPY --from=build /bundles /bundles
# A number, because Kubernetes cannot check that a name is not root.
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "/app/healthcheck.py"]
ENTRYPOINT ["heed"]
CMD ["serve"]
