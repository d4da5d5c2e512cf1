"""The composition root: `create_app` puts the parts together, and the lifespan runs them."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.metadata import version as installed

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from heed.service.errors import ClientGone, ServiceError, UnknownRoute, WrongMethod
from heed.service.http.exchange import ProblemJson, respond
from heed.service.http.middleware import Front
from heed.service.http.openapi import describe
from heed.service.http.pages import mount_pages
from heed.service.inference.engine import Engine
from heed.service.metrics.metrics import Metrics
from heed.service.routes.classify import EXPRESS, routes
from heed.service.routes.health import operations
from heed.service.routes.models import catalog
from heed.service.settings import Settings
from heed.service.state import Service

log = logging.getLogger("heed")

DESCRIPTION = """
Text classification that shows what it read: every answer carries the probabilities, the share of
attention that each token had and, on request, the exact signed contribution of each token.
"""


def create_app(
    settings: Settings, engine: Engine | None = None, *, warm_first: bool = False
) -> FastAPI:
    """Make an app with everything it needs, verified, and nothing running yet.

    Args:
        settings: how to serve.
        engine: another engine than the one that `settings` describe.
        warm_first: warm up before the socket opens, not while /readyz says 503.

    Raises:
        HeedError: a bundle is refused, or the device or the API keys cannot be had.
    """
    service = Service(settings, engine or Engine.from_settings(settings), Metrics())
    app = FastAPI(
        title="Heed",
        version=installed("heed-classifier"),
        description=DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        # It would look for an exporter at each request, even where it finds none.
        telemetry={"tracing": False, "metrics": False, "logs": False},
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        lifespan=lambda _: _lifespan(service, warm_first),
        exception_handlers={
            HTTPException: _answer_http_exception,
            ServiceError: _answer_error,
            ClientGone: _answer_error,
            Exception: _answer_error,
        },
    )
    app.state.service = service
    for router in (routes, catalog, operations):
        app.include_router(router)
    describe(app)
    mount_pages(app)
    app.middleware_stack = Front(
        app.build_middleware_stack(),
        service,
        settings.api_keys(),
        EXPRESS,
    )
    return app


@asynccontextmanager
async def _lifespan(service: Service, warm_first: bool) -> AsyncGenerator[None]:
    service.engine.on_batch = service.metrics.record_batch
    await service.engine.start()
    warming = asyncio.create_task(_warm_up(service))
    if warm_first:
        await warming
    yield
    warming.cancel()
    await service.engine.stop()


async def _warm_up(service: Service) -> None:
    try:
        await service.engine.warm_up()
    except Exception:
        log.exception("the models could not be warmed up; /readyz stays 503")
        return
    service.lifecycle.warm = True
    for model in service.engine.models.values():
        log.info("%s %s runs on %s", model.config.name, model.config.version, model.provider)
    service.on_warm()


async def _answer_error(_: Request, error: Exception) -> Response:
    return respond(error)


async def _answer_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path = request.scope["path"][:100]
    if error.status_code == 405:
        methods = {method.strip() for method in (error.headers or {}).get("Allow", "").split(",")}
        allow = ", ".join(sorted(methods | ({"HEAD"} if "GET" in methods else set())))
        return ProblemJson(WrongMethod(f"{path} takes {allow}", {"Allow": allow}))
    return ProblemJson(UnknownRoute(f"there is no {path} here; see /docs"))
