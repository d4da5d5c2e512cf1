"""The routes that classify. Each is: parse, one await, format."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from heed.model.errors import TextError
from heed.model.inference.classifier import OnnxClassifier, Prediction
from heed.model.inference.response import build_answer
from heed.service.errors import (
    Fault,
    InferenceDown,
    Invalid,
    ServiceError,
    TooLarge,
    Unavailable,
)
from heed.service.http.exchange import Json, check_head, length_of, parse, read_body
from heed.service.http.openapi import (
    EXAMPLE_ANSWER,
    EXAMPLE_REQUEST,
    EXAMPLE_RESULT,
    GUARDED,
    answers,
    asks,
    problems,
)
from heed.service.http.schemas import (
    BatchRequest,
    BatchResponse,
    ClassifyRequest,
    ClassifyResponse,
    Options,
)
from heed.service.inference.batcher import Job, queue_full
from heed.service.routes.models import choose
from heed.service.state import Service

STATUSES = (400, 401, 404, 413, 415, 422, 429, 500, 503, 504)
BREATH = 8
"""Texts to format before the event loop gets to breathe."""


class BareRoute(APIRoute):
    """A documented route whose endpoint takes the request as it is and answers by itself.

    FastAPI's own parsing, dependency resolution and serialising would cost more than the network.
    """

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        """The endpoint itself."""
        return self.endpoint


routes = APIRouter(route_class=BareRoute, tags=["classify"])


@routes.post(
    "/classify",
    summary="Classify one text",
    response_model=ClassifyResponse,
    responses=answers(EXAMPLE_ANSWER) | problems(*STATUSES),
    openapi_extra=asks(ClassifyRequest, EXAMPLE_REQUEST) | GUARDED,
)
async def classify(request: Request) -> Response:
    """Probabilities of all labels, and what each token weighed or contributed, from one pass."""
    service: Service = request.app.state.service
    options = parse(ClassifyRequest, await _read(request, service))
    model = _choose(request, service, options)
    job = await _run(request, service, model, [options.text], options)
    return Json(_name(model) | _answer(job, 0, options, ["body", "text"]))


@routes.post(
    "/classify/batch",
    summary="Classify several texts",
    response_model=BatchResponse,
    responses=answers({"model": "sentiment", "version": "1.0.0", "results": [EXAMPLE_RESULT]})
    | problems(*STATUSES),
    openapi_extra=asks(BatchRequest, {"texts": [EXAMPLE_REQUEST["text"]]}) | GUARDED,
)
async def classify_batch(request: Request) -> Response:
    """Each text is answered as `/classify` would answer it alone, in order."""
    service: Service = request.app.state.service
    options = parse(BatchRequest, await _read(request, service))
    _check_texts(options.texts, service.settings.max_texts)
    model = _choose(request, service, options)
    job = await _run(request, service, model, options.texts, options)
    if all(isinstance(outcome, InferenceDown) for outcome in job.outcomes):
        _answer(job, 0, options, [])
    results: list[Any] = []
    faults: list[Fault] = []
    for place in range(len(options.texts)):
        try:
            result = _answer(job, place, options, ["body", "texts", place])
            results.append(msgspec.Raw(msgspec.json.encode(result)))
        except Invalid as error:
            faults += error.faults
        except ServiceError as error:
            results.append({"error": error.problem()})
        if place % BREATH == BREATH - 1:
            await asyncio.sleep(0)
    if faults:
        raise Invalid(faults)
    return Json(_name(model) | {"results": results})


EXPRESS = {"/classify": classify, "/classify/batch": classify_batch}
"""What answers a POST to a path without the framework."""


async def _read(request: Request, service: Service) -> bytes | bytearray:
    """Read the body, unless it is known already that nothing can be done with it."""
    if not service.lifecycle.warm:
        raise Unavailable("the models are warming up; ask /readyz", {"Retry-After": "1"})
    settings, headers = service.settings, dict(request.scope["headers"])
    check_head(headers, settings.max_body)
    if service.engine.batcher.lacks_room(length_of(headers)):
        raise queue_full()
    return await read_body(request.receive, settings.max_body, settings.timeout)


def _check_texts(texts: list[Any], limit: int) -> None:
    """Refuse too many texts, then those that are no string."""
    if len(texts) > limit:
        raise TooLarge(
            f"{len(texts)} texts are more than {limit} (--max-texts); send them in parts"
        )
    faults: list[Fault] = [
        (["body", "texts", place], "Input should be a valid string")
        for place, text in enumerate(texts)
        if not isinstance(text, str)
    ]
    if faults:
        raise Invalid(faults)


def _choose(request: Request, service: Service, options: Options) -> OnnxClassifier:
    model = choose(service.engine, options.model)
    name = request.scope["heed.model"] = model.config.name
    if options.explain_label is not None and options.explain_label not in model.config.labels:
        message = f"the model {name} has no such label; see /models/{name}"
        raise Invalid([(["body", "explain_label"], message)])
    return model


async def _run(
    request: Request, service: Service, model: OnnxClassifier, texts: list[str], options: Options
) -> Job:
    async def hang_up() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    left = service.settings.timeout - (time.perf_counter() - request.scope["heed.arrived"])
    job = await service.engine.classify(model, texts, options.explain, left, hang_up)
    service.metrics.record_stages(job)
    return job


def _name(model: OnnxClassifier) -> dict[str, Any]:
    return {"model": model.config.name, "version": model.config.version}


def _answer(job: Job, place: int, options: Options, loc: list[str | int]) -> dict[str, Any]:
    outcome = job.outcomes[place]
    if isinstance(outcome, TextError):
        raise Invalid([(loc, str(outcome))])
    if not isinstance(outcome, Prediction):
        assert outcome is not None
        raise outcome
    config = job.classifier.config
    if outcome.encoding.truncated and not options.truncate:
        message = f"the text has more than {config.max_tokens} tokens; shorten it, or let it be cut"
        raise Invalid([(loc, message)])
    return build_answer(
        outcome,
        config,
        text=job.texts[place],
        explain=options.explain,
        explain_label=options.explain_label,
        unit=options.unit,
        top_k=options.top_k,
        min_confidence=options.min_confidence,
    )
