"""The composition root: `create_app` connects the parts, and the lifespan starts and stops them."""

import asyncio
import functools
import logging
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.metadata import version as installed_version

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from heed.service.errors import ServiceError, UnknownRoute, WrongMethod
from heed.service.http import (
    Tracer,
    add_middleware,
    add_pages,
    error_response,
    openapi_document,
    record_of,
)
from heed.service.inference import Engine
from heed.service.metrics import Metrics
from heed.service.rate_limit import RateLimiter
from heed.service.routes import classify, health, models
from heed.service.settings import Settings
from heed.service.state import Service

log = logging.getLogger("heed")

DESCRIPTION = """
Text classification with explanations: every answer contains the probabilities, the attention weight
of each token and, on request, the exact signed contribution of each token.
"""


def create_app(
    settings: Settings, engine: Engine | None = None, *, warm_first: bool = False
) -> FastAPI:
    """Return an app with verified bundles. Nothing runs before its lifespan starts.

    Args:
        settings: all options of the service.
        engine: an engine to use instead of the one that `settings` describe.
        warm_first: warm up before the lifespan's start ends, not afterwards in a task.

    Raises:
        HeedError: a bundle or an OTEL_ variable is rejected, or the device or the API keys are not
            available.
    """
    service = Service(settings, engine or Engine.from_settings(settings), Metrics())
    service.use_keys(settings.api_key_digests())
    if settings.rate_limit is not None:
        service.rate_limiter = RateLimiter(settings.rate_limit)
    service.engine.on_run = service.metrics.record_run
    tracer = Tracer.from_environment(os.environ)
    app = FastAPI(
        title="Heed",
        version=installed_version("heed-classifier"),
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        # By default FastAPI searches for an exporter at each request.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        lifespan=lambda _: _lifespan(service, warm_first, tracer),
        exception_handlers={
            HTTPException: _respond_to_http_exception,
            ServiceError: _respond_to_error,
            Exception: _respond_to_error,
        },
    )
    app.state.service = service
    for router in (classify.router, models.router, health.router):
        app.include_router(router)
    app.openapi = functools.cache(lambda: openapi_document(app))  # type: ignore[method-assign]
    add_pages(app)
    fast_routes = [route for route in classify.router.routes if isinstance(route, APIRoute)]
    app.middleware_stack = add_middleware(
        app.build_middleware_stack(),
        service,
        fast_routes={route.path: route.endpoint for route in fast_routes},
        tracer=tracer,
    )
    return app


@asynccontextmanager
async def _lifespan(
    service: Service, warm_first: bool, tracer: Tracer | None
) -> AsyncGenerator[None]:
    await service.engine.start()
    warming = asyncio.create_task(_warm_up(service))
    if warm_first:
        await warming
    yield
    warming.cancel()
    await service.engine.stop()
    if tracer is not None:
        await tracer.stop()


async def _warm_up(service: Service) -> None:
    try:
        await service.engine.warm_up()
    except Exception:
        log.exception("the models could not be warmed up; /readyz stays 503")
        return
    service.warm = True
    for model in service.engine.models.versions.values():
        log.info("%s %s runs on %s", model.config.name, model.config.version, model.provider)
    service.on_warm()


async def _respond_to_error(request: Request, error: Exception) -> Response:
    return error_response(error, record_of(request.scope).request_id)


async def _respond_to_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.scope["path"][:100]
    if error.status_code == 405:
        methods = {method.strip() for method in (error.headers or {}).get("Allow", "").split(",")}
        allow = ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))
        wrong_method = WrongMethod(f"{path} supports {allow}", {"Allow": allow})
        return await _respond_to_error(request, wrong_method)
    unknown = UnknownRoute(f"there is no route {path}; /docs lists all routes")
    return await _respond_to_error(request, unknown)
