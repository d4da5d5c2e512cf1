"""Routes for operators: health, readiness, metrics."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from heed.service.errors import InferenceDown, Unavailable
from heed.service.http import EXAMPLE_METRICS, JsonResponse, Status, route_docs
from heed.service.metrics import choose_format, encode_metrics
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
    """The sum of all workers' metrics, in the format that `Accept` asks for.

    Prometheus text 0.0.4 or 1.0.0, or OpenMetrics 1.0.0; text 0.0.4 without `Accept`.
    """
    service: Service = request.app.state.service
    content_type = choose_format(request.headers.get("Accept", ""))
    body = encode_metrics(await service.all_metrics(), content_type)
    headers = {"Cache-Control": "no-store", "Content-Type": content_type, "Vary": "Accept"}
    return Response(body, headers=headers)


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
