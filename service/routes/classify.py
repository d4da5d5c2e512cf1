"""The routes that classify. Each reads and parses the body, awaits the engine, and formats."""

import asyncio
from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from heed.model.errors import TextError
from heed.model.inference import Prediction, build_answer
from heed.service.errors import (
    Fault,
    InferenceDown,
    Invalid,
    QueueFull,
    ServiceError,
    TooLarge,
    Unavailable,
)
from heed.service.http import (
    JsonResponse,
    check_headers,
    client_key,
    openapi,
    parse,
    read_body,
    schemas,
)
from heed.service.inference import Job
from heed.service.routes.models import select_model
from heed.service.state import Service

ERRORS = (400, 401, 404, 408, 413, 415, 422, 429, 500, 503, 504)
RESULTS_PER_STEP = 8
"""Results to format before the event loop handles other requests."""


# The middleware calls these endpoints itself: FastAPI's parsing, dependency resolution and
# serialization would cost more than the network.
router = APIRouter(tags=["classify"])


@router.post(
    "/classify",
    **openapi.route_docs(
        "Classify one text",
        schemas.ClassifyResponse,
        openapi.EXAMPLE_ANSWER,
        ERRORS,
        body=(schemas.ClassifyRequest, openapi.EXAMPLE_REQUEST),
    ),
)
async def classify(request: Request) -> Response:
    """Probabilities of the labels, and each token's attention or contribution, from one run."""
    service: Service = request.app.state.service
    options = parse(schemas.ClassifyRequest, await _read(request, service))
    job = await _run(request, service, [options.text], options)
    return JsonResponse(_model_fields(job) | _format_result(job, 0, options, ["body", "text"]))


@router.post(
    "/classify/batch",
    **openapi.route_docs(
        "Classify several texts",
        schemas.BatchResponse,
        openapi.EXAMPLE_BATCH_ANSWER,
        ERRORS,
        body=(schemas.BatchRequest, openapi.EXAMPLE_BATCH_REQUEST),
    ),
)
async def classify_batch(request: Request) -> Response:
    """One result for each text, in order, as `/classify` returns it for that text alone."""
    service: Service = request.app.state.service
    options = parse(schemas.BatchRequest, await _read(request, service))
    _check_texts(options.texts, service.settings.max_texts)
    job = await _run(request, service, options.texts, options)
    if all(isinstance(outcome, InferenceDown) for outcome in job.outcomes):
        _format_result(job, 0, options, [])
    results: list[Any] = []
    faults: list[Fault] = []
    for index in range(len(options.texts)):
        try:
            result = _format_result(job, index, options, ["body", "texts", index])
            results.append(msgspec.Raw(msgspec.json.encode(result)))
        except Invalid as error:
            faults += error.faults
        except ServiceError as error:
            results.append({"error": error.problem()})
        if (index + 1) % RESULTS_PER_STEP == 0:
            await asyncio.sleep(0)
    if faults:
        raise Invalid(faults)
    return JsonResponse(_model_fields(job) | {"results": results})


async def _read(request: Request, service: Service) -> bytes | bytearray:
    """Return the body, unless the headers or the service's state already exclude an answer."""
    if not service.warm:
        raise Unavailable("the models are warming up; ask /readyz", {"Retry-After": "1"})
    settings = service.settings
    check_headers(dict(request.scope["headers"]), settings.max_body)
    if not service.engine.batcher.has_capacity(client_key(request.scope)):
        raise QueueFull
    body = await read_body(request.receive, settings.max_body)
    request.scope["heed.body_read"] = True
    return body


def _check_texts(texts: list[Any], limit: int) -> None:
    """Reject too many texts, then values that are not strings."""
    if len(texts) > limit:
        raise TooLarge(
            f"{len(texts)} texts are more than {limit} (--max-texts); send several requests"
        )
    faults: list[Fault] = [
        (["body", "texts", index], "Input should be a valid string")
        for index, text in enumerate(texts)
        if not isinstance(text, str)
    ]
    if faults:
        raise Invalid(faults)


async def _run(
    request: Request, service: Service, texts: list[str], options: schemas.Options
) -> Job:
    """Choose the model and have the engine classify the texts."""

    async def wait_disconnect() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    model = select_model(service.engine, options.model)
    name = request.scope["heed.model"] = model.config.name
    if options.explain_label is not None and options.explain_label not in model.config.labels:
        message = f"the model {name} has no such label; GET /models/{name} lists them"
        raise Invalid([(["body", "explain_label"], message)])
    job = await service.engine.classify(
        model, texts, options.explain, wait_disconnect, client_key(request.scope)
    )
    service.metrics.record_stages(job.queue_seconds, job.tokenize_seconds, job.inference_seconds)
    return job


def _model_fields(job: Job) -> dict[str, Any]:
    return {"model": job.classifier.config.name, "version": job.classifier.config.version}


def _format_result(
    job: Job, index: int, options: schemas.Options, location: list[str | int]
) -> dict[str, Any]:
    """Return the result for one text, or raise the error that it met."""
    outcome, config = job.outcomes[index], job.classifier.config
    if isinstance(outcome, TextError):
        raise Invalid([(location, str(outcome))])
    if not isinstance(outcome, Prediction):
        assert outcome is not None
        raise outcome
    if outcome.encoding.truncated and not options.truncate:
        message = f"the text has more than {config.max_tokens} tokens; shorten it or set truncate"
        raise Invalid([(location, message)])
    return build_answer(
        outcome,
        config,
        text=job.texts[index],
        explain=options.explain,
        explain_label=options.explain_label,
        unit=options.unit,
        top_k=options.top_k,
        min_confidence=options.min_confidence,
    )
