"""The errors that a request can cause. Each class declares its HTTP status and its title once.

ServiceError
├── NotHttp              400  the bytes received are not HTTP
├── NotJson              400  the body is not JSON
├── Unauthorized         401  the API key is missing or wrong
├── UnknownModel         404  no bundle has that name
├── UnknownRoute         404  no route has that path
├── WrongMethod          405  the route has other methods
├── RequestTimeout       408  the client sends its request too slowly
├── TooLarge             413  the body or the batch exceeds its limit
├── NotJsonType          415  the content type is not application/json
├── EncodedBody          415  the body is compressed
├── Invalid              422  JSON, but not a valid request
├── RateLimited          429  the client exceeds --rate-limit
├── QueueFull            429  the queue is full
├── HeadTooLarge         431  the request line and headers exceed their limit
├── InferenceFailed      500  the network gave no usable output for this text
├── InternalError        500  a bug
├── Unavailable          503  warming up or draining
├── TooManyConnections   503  --max-connections are open
├── TooManyBytes         503  --max-inflight-bytes are held for slow clients
├── InferenceDown        503  the network fails on every text
└── DeadlineExceeded     504  --timeout passed
"""

from collections.abc import Sequence
from typing import Any, ClassVar

Fault = tuple[Sequence[str | int], str]
"""The location of a fault in a request, and what is wrong there."""


class ServiceError(Exception):
    """The root. `detail` is a sentence for the client; `headers` are sent with the response."""

    status: ClassVar[int]
    title: ClassVar[str]

    def __init_subclass__(cls, status: int, title: str) -> None:
        """Every error has a status and a title: a class without them cannot be defined."""
        cls.status, cls.title = status, title

    def __init__(self, detail: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = headers or {}

    def problem(self) -> dict[str, Any]:
        """Return the body of the response (RFC 9457)."""
        return {
            "type": "urn:heed:" + self.title.lower().replace(" ", "-"),
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
        }


class NotHttp(ServiceError, status=400, title="Not HTTP"):
    """The bytes received are not HTTP."""


class NotJson(ServiceError, status=400, title="Not JSON"):
    """The body is not JSON."""


class Unauthorized(ServiceError, status=401, title="Unauthorized"):
    """The API key is missing or wrong."""


class UnknownModel(ServiceError, status=404, title="Unknown model"):
    """No bundle has that name."""


class UnknownRoute(ServiceError, status=404, title="Not found"):
    """No route has that path."""


class WrongMethod(ServiceError, status=405, title="Method not allowed"):
    """The route has other methods."""


class RequestTimeout(ServiceError, status=408, title="Request timeout"):
    """The client sends its request too slowly."""


class TooLarge(ServiceError, status=413, title="Too large"):
    """The body or the batch exceeds its limit."""


class NotJsonType(ServiceError, status=415, title="Unsupported media type"):
    """The content type is not application/json."""


class EncodedBody(ServiceError, status=415, title="Unsupported content encoding"):
    """The body is compressed."""


class Invalid(ServiceError, status=422, title="Invalid request"):
    """JSON, but not a valid request."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        """Args:
        faults: at least one.
        """
        location = ".".join(map(str, faults[0][0]))
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        super().__init__(f"{location}: {faults[0][1]}{more}")
        self.faults = faults

    def problem(self) -> dict[str, Any]:
        """Return the body of the response, with every fault."""
        errors = [{"loc": list(location), "msg": message} for location, message in self.faults]
        return super().problem() | {"errors": errors}


class RateLimited(ServiceError, status=429, title="Too many requests"):
    """The client exceeds --rate-limit."""


class QueueFull(ServiceError, status=429, title="Queue full"):
    """The queue is full."""

    # A full queue moves on within a second.
    def __init__(
        self, detail: str = "the queue is full (--max-queue); send the request again"
    ) -> None:
        super().__init__(detail, {"Retry-After": "1"})


class HeadTooLarge(ServiceError, status=431, title="Head too large"):
    """The request line and headers exceed their limit."""


class InferenceFailed(ServiceError, status=500, title="Inference failed"):
    """The network gave no usable output for this text."""


class InternalError(ServiceError, status=500, title="Internal error"):
    """A bug."""

    # The text is fixed, so that it reveals no internal details.
    def __init__(
        self, detail: str = "an unexpected error occurred; search the log for the request_id"
    ) -> None:
        super().__init__(detail)


class Unavailable(ServiceError, status=503, title="Not ready"):
    """Warming up or draining."""


class TooManyConnections(ServiceError, status=503, title="Too many connections"):
    """The worker has --max-connections connections."""


class TooManyBytes(ServiceError, status=503, title="Too many bytes in flight"):
    """The worker holds --max-inflight-bytes for slow clients."""


class InferenceDown(ServiceError, status=503, title="Inference is down"):
    """The network fails on every text."""


class DeadlineExceeded(ServiceError, status=504, title="Deadline exceeded"):
    """--timeout passed."""


class ClientDisconnected(Exception):
    """The client closed the connection before the response."""
