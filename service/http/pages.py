"""The page, the API documentation and their files: all from here, nothing from another host."""

from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles

WEB = Path(__file__).parents[1] / "web"

STRICT = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# Swagger UI sets styles of its own from script.
DOCUMENTATION = STRICT.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")


class Files(StaticFiles):
    """Static files that browsers ask for again, so that an upgrade shows at once."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """The file, or 304 where the browser has it."""
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        response.headers["Accept-Ranges"] = "none"  # see `service.front`
        return response


def mount_pages(app: FastAPI) -> None:
    """Add `/`, `/docs` and the folders of their files."""

    @app.get("/", include_in_schema=False)
    async def page(_: Request) -> Response:
        return _html("index.html", STRICT)

    @app.get("/docs", include_in_schema=False)
    async def docs(_: Request) -> Response:
        return _html("docs.html", DOCUMENTATION)

    app.mount("/static", Files(directory=WEB), name="static")
    swagger = str(files("fastapi_offline") / "static")
    app.mount("/docs/static", Files(directory=swagger), name="swagger")


def _html(name: str, policy: str) -> Response:
    return FileResponse(
        WEB / name,
        headers={
            "Content-Security-Policy": policy,
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-cache",
            "Accept-Ranges": "none",
        },
    )
