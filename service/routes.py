"""The routes. Each is: parse, one await, format."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from model.answer import answer
from model.classifier import Classifier, Prediction
from model.errors import TextError
from service import schemas
from service.errors import DeadlineExceeded, Invalid, ServiceError, TooLarge, Unavailable, UnknownModel
from service.exchange import Json, parse, read_json_body
from service.inference.batcher import Job, queue_full
from service.openapi import body, problems
from service.state import Service


class BareRoute(APIRoute):
    """A documented route whose endpoint takes the request as it is and answers by itself.

    FastAPI's own parsing, dependency resolution and serialising would cost more than the network.
    """

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        """The endpoint itself."""
        return self.endpoint


hot = APIRouter(route_class=BareRoute, tags=["classify"])
models = APIRouter(tags=["models"])


@hot.post(
    "/classify",
    summary="Classify one text",
    response_model=schemas.ClassifyResponse,
    responses=problems(400, 401, 404, 413, 415, 422, 429, 500, 503, 504),
    openapi_extra=body(schemas.ClassifyRequest),
)
async def classify(request: Request) -> Response:
    """Probabilities of all labels, and what each token weighed or contributed, from one pass."""
    service = _service(request)
    options = parse(schemas.ClassifyRequest, await _read(request, service))
    model = _choose(request, service, options)
    job = await _run(request, service, model, [options.text], options)
    result = _answer(job, 0, options, ["body", "text"])
    return Json({"model": model.config.name, "version": model.config.version} | result)


@hot.post(
    "/classify/batch",
    summary="Classify several texts",
    response_model=schemas.BatchResponse,
    responses=problems(400, 401, 404, 413, 415, 422, 429, 500, 503, 504),
    openapi_extra=body(schemas.BatchRequest),
)
async def classify_batch(request: Request) -> Response:
    """Each text is answered as `/classify` would answer it alone, in order."""
    service = _service(request)
    options = parse(schemas.BatchRequest, await _read(request, service))
    if len(options.texts) > service.settings.max_texts:
        raise TooLarge(
            f"{len(options.texts)} texts are more than {service.settings.max_texts} (--max-texts); "
            "send them in parts"
        )
    model = _choose(request, service, options)
    job = await _run(request, service, model, options.texts, options)
    results, faults = [], []
    for place in range(len(options.texts)):
        try:
            results.append(_answer(job, place, options, ["body", "texts", place]))
        except Invalid as error:
            faults += [(fault["loc"], fault["msg"]) for fault in error.errors]
        except ServiceError as error:
            results.append({"error": error.problem()})
    if faults:
        raise Invalid(faults)
    return Json({"model": model.config.name, "version": model.config.version, "results": results})


@models.get("/models", response_model=schemas.Models, responses=problems(401))
async def list_models(request: Request) -> Response:
    """The bundles that are served."""
    engine = _service(request).engine
    return Json({"default": engine.default, "models": [_describe(m) for m in engine.models.values()]})


@models.get("/models/{name}", response_model=schemas.Model, responses=problems(401, 404))
async def get_model(request: Request, name: str) -> Response:
    """One of the bundles that are served."""
    engine = _service(request).engine
    if name not in engine.models:
        raise _unknown(name, engine.models)
    return Json(_describe(engine.models[name]))


def _service(request: Request) -> Service:
    service: Service = request.scope["app"].state.service
    return service


async def _read(request: Request, service: Service) -> bytes:
    """Read the body, unless it is known already that nothing can be done with it."""
    if not service.lifecycle.warm:
        raise Unavailable("the models are warming up; ask /readyz", {"Retry-After": "1"})
    if service.engine.batcher.full:
        raise queue_full()
    try:
        async with asyncio.timeout(service.settings.timeout):
            return await read_json_body(request.scope, request.receive, service.settings.max_body)
    except TimeoutError:
        raise DeadlineExceeded("the body took longer than --timeout allows") from None


def _choose(request: Request, service: Service, options: schemas.Options) -> Classifier:
    engine = service.engine
    name = options.model if options.model is not None else engine.default
    if name is None:
        raise Invalid([(["body", "model"], f"name one of {', '.join(engine.models)}: there is no default")])
    model = engine.models.get(name)
    if model is None:
        raise _unknown(name, engine.models)
    request.scope["heed.model"] = name
    if options.explain_label is not None and options.explain_label not in model.config.labels:
        raise Invalid([(["body", "explain_label"], f"the model {name} has no such label; see /models/{name}")])
    return model


def _unknown(name: str, known: dict[str, Classifier]) -> UnknownModel:
    return UnknownModel(f"there is no model {name!r}; there are {', '.join(known)}")


async def _run(
    request: Request, service: Service, model: Classifier, texts: list[str], options: schemas.Options
) -> Job:
    """Queue the texts and wait. Where others wait too, notice when this client goes away."""
    watch = asyncio.ensure_future(_hang_up(request)) if service.engine.batcher.waiting else None
    left = service.settings.timeout - (time.perf_counter() - request.scope["heed.arrived"])
    try:
        job = await service.engine.classify(model, texts, options.explain, left, watch)
    finally:
        if watch is not None:
            watch.cancel()
    service.metrics.record_stages(job)
    return job


async def _hang_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _answer(job: Job, place: int, options: schemas.Options, loc: list[str | int]) -> dict[str, Any]:
    outcome = job.outcomes[place]
    if isinstance(outcome, TextError):
        raise Invalid([(loc, str(outcome))])
    if not isinstance(outcome, Prediction):
        assert outcome is not None
        raise outcome
    config = job.classifier.config
    if outcome.encoding.truncated and not options.truncate:
        raise Invalid([(loc, f"the text has more than {config.max_tokens} tokens; shorten it, or let it be cut")])
    return answer(
        outcome,
        config,
        text=job.texts[place],
        explain=options.explain,
        explain_label=options.explain_label,
        unit=options.unit,
        top_k=options.top_k,
        min_confidence=options.min_confidence,
    )


def _describe(model: Classifier) -> dict[str, Any]:
    fields = {"name", "version", "labels", "max_tokens", "min_confidence", "sha256", "scores", "training"}
    return model.config.model_dump(mode="json", include=fields) | {"provider": model.provider}
