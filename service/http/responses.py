"""JSON responses, and the response to each error."""

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response

from heed.service.errors import ClientDisconnected, InternalError, ServiceError


class JsonResponse(Response):
    """A JSON body, encoded by msgspec, that caches must not store."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Return the encoded content."""
        return msgspec.json.encode(content)

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        """Set the headers."""
        super().init_headers(headers)
        self.raw_headers.append((b"cache-control", b"no-store"))


class ProblemResponse(JsonResponse):
    """An error as `application/problem+json` (RFC 9457)."""

    media_type = "application/problem+json"


def problem_of(error: ServiceError, request_id: str) -> dict[str, Any]:
    """Return the body of an error response, with the id of the request."""
    return error.problem() | {"request_id": request_id}


def error_response(error: Exception, request_id: str) -> Response:
    """Return the response to any exception; it reveals nothing of an unexpected one."""
    if isinstance(error, ClientDisconnected):
        return Response(status_code=499)
    if not isinstance(error, ServiceError):
        error = InternalError()
    return ProblemResponse(problem_of(error, request_id), error.status, error.headers)
