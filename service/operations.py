"""Routes for those who operate the service: health, readiness, metrics."""

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from service.errors import InferenceDown, Unavailable
from service.exchange import Json
from service.openapi import problems
from service.schemas import Status
from service.state import Service

operations = APIRouter(tags=["operations"])


@operations.get("/healthz", response_model=Status, responses=problems(503))
async def healthz(request: Request) -> Response:
    """Whether the process works: 503 only after inference itself has failed."""
    service: Service = request.app.state.service
    if service.engine.down:
        raise InferenceDown("nothing can be classified at present")
    return Json({"status": "ok"})


@operations.get("/readyz", response_model=Status, responses=problems(503))
async def readyz(request: Request) -> Response:
    """Whether to send requests here: 503 during warm-up and drain."""
    service: Service = request.app.state.service
    if service.engine.down:
        raise InferenceDown("nothing can be classified at present")
    status = service.lifecycle.status
    if status != "ready":
        raise Unavailable(status, {"Retry-After": "1"})
    return Json({"status": status})


@operations.get(
    "/metrics",
    response_class=PlainTextResponse,
    responses={200: {"description": "Metrics of all workers, in the Prometheus text format."}},
)
async def metrics(request: Request) -> Response:
    """Prometheus metrics, added up over the workers."""
    service: Service = request.app.state.service
    return Response(await service.exposition(), media_type=CONTENT_TYPE_LATEST)
