"""Routes for operators: health, readiness, metrics."""

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from heed.service.errors import InferenceDown, Unavailable
from heed.service.http import EXAMPLE_METRICS, JsonResponse, Status, route_docs
from heed.service.metrics import to_prometheus
from heed.service.state import Service

router = APIRouter(tags=["operations"])


@router.get(
    "/healthz",
    **route_docs("Whether the process works", Status, {"status": "ok"}, errors=(500, 503)),
)
async def healthz(request: Request) -> Response:
    """200 while loading, serving and draining; 503 only after inference itself failed or hangs.

    A network that failed is run again for each request to this route.
    """
    await _check_inference(request.app.state.service)
    return JsonResponse({"status": "ok"})


@router.get(
    "/readyz",
    **route_docs("Whether to send requests here", Status, {"status": "ready"}, errors=(500, 503)),
)
async def readyz(request: Request) -> Response:
    """503 during warm-up and drain, and after inference failed."""
    service: Service = request.app.state.service
    status = service.status
    if status != "ready":
        raise Unavailable(status, {"Retry-After": "1"})
    await _check_inference(service)
    return JsonResponse({"status": status})


@router.get(
    "/metrics",
    response_class=PlainTextResponse,
    **route_docs("Prometheus metrics", None, EXAMPLE_METRICS, (500,), media_type="text/plain"),
)
async def metrics(request: Request) -> Response:
    """The sum of all workers' metrics, in the Prometheus text format."""
    service: Service = request.app.state.service
    body = to_prometheus(await service.all_metrics())
    return Response(body, media_type=CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"})


async def _check_inference(service: Service) -> None:
    engine = service.engine
    if service.warm and engine.hangs:
        raise InferenceDown(
            f"a run of the network has taken more than {engine.hang_seconds:g} s and has not ended"
        )
    if not await engine.works():
        raise InferenceDown(
            f"the network of {', '.join(sorted(engine.failing))} fails on every text"
        )
