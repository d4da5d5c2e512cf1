"""The web page, the API documentation and their files; nothing comes from another host."""

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
# Swagger UI sets styles from its script.
DOCUMENTATION = STRICT.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")


class Files(StaticFiles):
    """Static files that browsers revalidate, so that an upgrade takes effect at once."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """Return the file, or 304 if the browser has it."""
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        response.headers["Accept-Ranges"] = "none"  # the middleware ignores Range
        return response


def add_pages(app: FastAPI) -> None:
    """Add `/`, `/docs` and the folders with their files to the app."""

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
