"""What a request can meet, told without HTTP, and the one table that maps it to a status.

ServiceError
├── NotHttp              what was sent is not HTTP
├── HeadTooLarge         request line and headers above their limit
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

Fault = tuple[Sequence[str | int], str]


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


class NotHttp(ServiceError):
    """What was sent is not HTTP."""

    title = "Not HTTP"


class HeadTooLarge(ServiceError):
    """Request line and headers above their limit."""

    title = "Head too large"


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
    """JSON, but not a valid request."""

    title = "Invalid request"

    def __init__(self, faults: Sequence[Fault]) -> None:
        """Each fault is a place in the request and what is wrong there; at least one."""
        place = ".".join(map(str, faults[0][0]))
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        super().__init__(f"{place}: {faults[0][1]}{more}")
        self.faults = faults

    def problem(self) -> dict[str, Any]:
        """The answer's body, with every fault."""
        errors = [{"loc": list(loc), "msg": message} for loc, message in self.faults]
        return super().problem() | {"errors": errors}


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
    NotHttp: 400,
    NotJson: 400,
    Unauthorized: 401,
    UnknownModel: 404,
    UnknownRoute: 404,
    WrongMethod: 405,
    TooLarge: 413,
    NotJsonType: 415,
    Invalid: 422,
    QueueFull: 429,
    HeadTooLarge: 431,
    InferenceFailed: 500,
    InternalError: 500,
    Unavailable: 503,
    InferenceDown: 503,
    DeadlineExceeded: 504,
}
