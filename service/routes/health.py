"""Routes for those who operate the service: health, readiness, metrics."""

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from heed.service.errors import InferenceDown, Unavailable
from heed.service.http.exchange import Json
from heed.service.http.openapi import answers, problems
from heed.service.http.schemas import Status
from heed.service.metrics.metrics import exposition
from heed.service.state import Service

operations = APIRouter(tags=["operations"])

METRICS = """# HELP heed_queue_tokens Tokens waiting, estimated.
# TYPE heed_queue_tokens gauge
heed_queue_tokens 0.0
"""


@operations.get(
    "/healthz",
    summary="Whether the process works",
    response_model=Status,
    responses=answers({"status": "ok"}) | problems(500, 503),
)
async def healthz(request: Request) -> Response:
    """200 while loading, serving and draining; 503 only after inference itself has failed or hangs.

    To ask again is to try again: the network that failed is run once more.
    """
    await _check_inference(request.app.state.service)
    return Json({"status": "ok"})


@operations.get(
    "/readyz",
    summary="Whether to send requests here",
    response_model=Status,
    responses=answers({"status": "ready"}) | problems(500, 503),
)
async def readyz(request: Request) -> Response:
    """503 during warm-up and drain, and after inference has failed."""
    service: Service = request.app.state.service
    status = service.lifecycle.status
    if status != "ready":
        raise Unavailable(status, {"Retry-After": "1"})
    await _check_inference(service)
    return Json({"status": status})


@operations.get(
    "/metrics",
    summary="Prometheus metrics",
    response_class=PlainTextResponse,
    responses=answers(METRICS, "text/plain") | problems(500),
)
async def metrics(request: Request) -> Response:
    """The metrics of all workers, added up, in the Prometheus text format."""
    service: Service = request.app.state.service
    body = exposition(await service.samples())
    return Response(body, media_type=CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"})


async def _check_inference(service: Service) -> None:
    if service.lifecycle.warm and service.engine.hangs:
        seconds = service.engine.hang_seconds
        raise InferenceDown(f"a run of the network has taken more than {seconds:g} s and goes on")
    if not await service.engine.works():
        failing = ", ".join(sorted(service.engine.failing))
        raise InferenceDown(f"the network of {failing} fails on every text")
