# Two images from one file: DEVICE=cpu runs everywhere, DEVICE=gpu carries CUDA 13 and cuDNN 9.
ARG BASE_IMAGE=python:3.12-slim-bookworm

# hadolint ignore=DL3006
FROM ${BASE_IMAGE} AS build
ARG DEVICE=cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
COPY pyproject.toml constraints.txt docker/requirements.py ./
# Dependencies come before the code, so that a change of code installs none of them again.
RUN python requirements.py "$DEVICE" > requirements.txt \
    && python -m venv --without-pip /app \
    && pip --python /app/bin/python install --constraint constraints.txt --requirement requirements.txt
COPY README.md LICENSE heed.py ./
COPY model model
COPY service service
COPY bundles /bundles
COPY docker/healthcheck.py /app/healthcheck.py
# Readable by any user, whatever the permissions of the checkout.
RUN pip --python /app/bin/python install --no-deps . && chmod -R a+rX /app /bundles

# hadolint ignore=DL3006
FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="Heed" \
      org.opencontainers.image.description="Text classification that shows what it read" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/app/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HEED_HOST=0.0.0.0 \
    HEED_PORT=8000 \
    HEED_BUNDLES=/bundles
COPY --from=build /app /app
COPY --from=build /bundles /bundles
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "/app/healthcheck.py"]
ENTRYPOINT ["heed"]
CMD ["serve"]
