"""What a request can meet, told without HTTP, and the one table that maps it to a status.

ServiceError
├── NotJson              the body is not JSON
├── Unauthorized         key missing or wrong
├── UnknownModel         no bundle has that name
├── UnknownRoute         no such path
├── WrongMethod          the path has other methods
├── TooLarge             body or batch above its limit
├── NotJsonType          the content type is not application/json
├── Invalid              JSON, but not a valid request
├── QueueFull            as much waits as may wait
├── Unavailable          warming up or draining
├── InferenceDown        nothing can be classified at present
├── DeadlineExceeded     --timeout passed
├── InferenceFailed      the network gave no answer for this text
└── InternalError        a bug
"""

from collections.abc import Sequence
from typing import Any, ClassVar


class ServiceError(Exception):
    """The root. `detail` is a sentence for the caller; `headers` go with the answer."""

    title: ClassVar[str]

    def __init__(self, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = headers or {}

    def problem(self) -> dict[str, Any]:
        """The answer's body (RFC 9457)."""
        return {
            "type": "urn:heed:" + self.title.lower().replace(" ", "-"),
            "title": self.title,
            "status": STATUS[type(self)],
            "detail": self.detail,
        }


class NotJson(ServiceError):
    """The body is not JSON."""

    title = "Not JSON"


class Unauthorized(ServiceError):
    """Key missing or wrong."""

    title = "Unauthorized"


class UnknownModel(ServiceError):
    """No bundle has that name."""

    title = "Unknown model"


class UnknownRoute(ServiceError):
    """No such path."""

    title = "Not found"


class WrongMethod(ServiceError):
    """The path has other methods."""

    title = "Method not allowed"


class TooLarge(ServiceError):
    """Body or batch above its limit."""

    title = "Too large"


class NotJsonType(ServiceError):
    """The content type is not application/json."""

    title = "Unsupported media type"


class Invalid(ServiceError):
    """JSON, but not a valid request. `errors` says where (`loc`) what (`msg`) is wrong."""

    title = "Invalid request"

    def __init__(self, errors: Sequence[tuple[Sequence[str | int], str]]) -> None:
        place = ".".join(str(part) for part in errors[0][0])
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        super().__init__(f"{place}: {errors[0][1]}{more}")
        self.errors = [{"loc": list(loc), "msg": msg} for loc, msg in errors]

    def problem(self) -> dict[str, Any]:
        return super().problem() | {"errors": self.errors}


class QueueFull(ServiceError):
    """As much waits as may wait."""

    title = "Queue full"


class Unavailable(ServiceError):
    """Warming up or draining."""

    title = "Not ready"


class InferenceDown(ServiceError):
    """Nothing can be classified at present."""

    title = "Inference is down"


class DeadlineExceeded(ServiceError):
    """--timeout passed."""

    title = "Deadline exceeded"


class InferenceFailed(ServiceError):
    """The network gave no answer for this text."""

    title = "Inference failed"


class InternalError(ServiceError):
    """A bug."""

    title = "Internal error"


class ClientGone(Exception):
    """The client hung up: there is nobody to answer."""


STATUS: dict[type[ServiceError], int] = {
    NotJson: 400,
    Unauthorized: 401,
    UnknownModel: 404,
    UnknownRoute: 404,
    WrongMethod: 405,
    TooLarge: 413,
    NotJsonType: 415,
    Invalid: 422,
    QueueFull: 429,
    InferenceFailed: 500,
    InternalError: 500,
    Unavailable: 503,
    InferenceDown: 503,
    DeadlineExceeded: 504,
}
