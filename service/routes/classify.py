"""The routes that classify. Each reads and parses the body, awaits the engine, and formats."""

import asyncio
from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from heed.model.errors import TextError
from heed.model.inference import OnnxClassifier, Prediction, build_answer
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
    log_failed_texts,
    openapi,
    parse,
    problem_of,
    read_body,
    record_of,
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
    model = _select(request, service, options)
    job = await _run(request, service, model, [options.text], options)
    result = _format_result(job, 0, options, ["body", "text"])
    _record_predictions(service, model, [_prediction(result)])
    return JsonResponse(_model_fields(model) | result)


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
    texts, report = options.texts, options.on_error == "report"
    invalid = _check_texts(texts, service.settings.max_texts)
    if invalid and not report:
        raise Invalid([fault for error in invalid.values() for fault in error.faults])
    model = _select(request, service, options)
    valid = [text for index, text in enumerate(texts) if index not in invalid] if invalid else texts
    job = await _run(request, service, model, valid, options) if valid else None
    if job and all(isinstance(outcome, InferenceDown) for outcome in job.outcomes):
        _format_result(job, 0, options, [])
    results: list[Any] = []
    predictions: list[tuple[str | None, float]] = []
    faults: list[Fault] = []
    job_indices = iter(range(len(valid)))
    for index in range(len(texts)):
        try:
            if index in invalid:
                raise invalid[index]
            assert job is not None
            result = _format_result(job, next(job_indices), options, ["body", "texts", index])
            results.append(msgspec.Raw(msgspec.json.encode(result)))
            predictions.append(_prediction(result))
        except ServiceError as error:
            if isinstance(error, Invalid) and not report:
                faults += error.faults
            results.append({"error": problem_of(error, record_of(request.scope).request_id)})
        if (index + 1) % RESULTS_PER_STEP == 0:
            await asyncio.sleep(0)
    if faults:
        raise Invalid(faults)
    _record_predictions(service, model, predictions)
    return JsonResponse(_model_fields(model) | {"results": results})


async def _read(request: Request, service: Service) -> bytes | bytearray:
    """Return the body; raise an error first if the headers or the service's state require one."""
    if not service.warm:
        raise Unavailable("the models are warming up; ask /readyz", {"Retry-After": "1"})
    settings = service.settings
    check_headers(dict(request.scope["headers"]), settings.max_body)
    if not service.engine.batcher.has_capacity(client_key(request.scope)):
        raise QueueFull
    body = await read_body(request.receive, settings.max_body)
    request.scope["heed.body_read"] = True
    return body


def _check_texts(texts: list[Any], limit: int) -> dict[int, Invalid]:
    """Reject too many texts; return an error for each value that is not a string, by its index."""
    if len(texts) > limit:
        raise TooLarge(
            f"{len(texts)} texts are more than {limit} (--max-texts); send several requests"
        )
    return {
        index: Invalid([(["body", "texts", index], "Input should be a valid string")])
        for index, text in enumerate(texts)
        if not isinstance(text, str)
    }


def _select(request: Request, service: Service, options: schemas.Options) -> OnnxClassifier:
    """Return the model of a request; raises `UnknownModel` or `Invalid`."""
    record = record_of(request.scope)
    model = select_model(service.engine, options.model)
    name = record.model = model.config.name
    record.version = model.config.version
    if options.explain_label is not None and options.explain_label not in model.config.labels:
        message = f"the model {name} has no such label; GET /models/{name} lists them"
        raise Invalid([(["body", "explain_label"], message)])
    return model


async def _run(
    request: Request,
    service: Service,
    model: OnnxClassifier,
    texts: list[str],
    options: schemas.Options,
) -> Job:
    """Have the engine classify the texts."""

    async def wait_disconnect() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    record = record_of(request.scope)
    record.texts = len(texts)
    job = await service.engine.classify(
        model, texts, options.explain, wait_disconnect, client_key(request.scope)
    )
    record.queued = job.arrived
    record.stages = job.queue_seconds, job.tokenize_seconds, job.inference_seconds
    service.metrics.record_stages(*record.stages)
    record.tokens = failed = 0
    for outcome in job.outcomes:
        if isinstance(outcome, Prediction):
            record.tokens += len(outcome.encoding.ids)
        elif isinstance(outcome, ServiceError):
            failed += 1
    if failed:
        log_failed_texts(failed, record)
    return job


def _model_fields(model: OnnxClassifier) -> dict[str, Any]:
    return {"model": model.config.name, "version": model.config.version}


def _record_predictions(
    service: Service, model: OnnxClassifier, predictions: list[tuple[str | None, float]]
) -> None:
    config = model.config
    service.metrics.record_predictions(config.name, config.version, config.labels, predictions)


def _prediction(result: dict[str, Any]) -> tuple[str | None, float]:
    """Return the label of a result, and the probability of its most probable label."""
    return result["label"], next(iter(result["probabilities"].values()))


def _format_result(
    job: Job, index: int, options: schemas.Options, location: list[str | int]
) -> dict[str, Any]:
    """Return the result for one text, or raise its error."""
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
