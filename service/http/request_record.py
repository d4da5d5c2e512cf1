"""The record of one request: its id, model and stages, for the answer, the log and the trace."""

import logging
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Scope

KEY = "heed.record"
"""Key of the record in the ASGI scope."""
REQUEST_ID = b"x-request-id"
_VALID_ID = re.compile(rb"[!-~]{1,128}")

log = logging.getLogger("heed")
request_log = logging.getLogger("heed.requests")


@dataclass(slots=True)
class RequestRecord:
    """One request. The middleware creates it, and the routes fill it in."""

    request_id: str
    model: str = ""
    """Name of the bundle that the request chose."""
    version: str = ""
    texts: int | None = None
    tokens: int | None = None
    """Tokens of the texts that have a prediction."""
    stages: tuple[float, float, float] | None = None
    """Seconds in the stages queue, tokenize and inference."""
    queued: float | None = None
    """Time at which the texts entered the queue, by `time.perf_counter`."""
    route: str = field(init=False, default="other")
    status: int = field(init=False, default=500)

    def server_timing(self) -> bytes:
        """Return the value of the header `Server-Timing`; the stages must be known."""
        assert self.stages is not None
        queue, tokenize, inference = self.stages
        return (
            b"queue;dur=%.3f, tokenize;dur=%.3f, inference;dur=%.3f"
            % (queue * 1000, tokenize * 1000, inference * 1000)
        )  # fmt: skip

    def log_fields(self) -> dict[str, Any]:
        """Return the fields of a request in the JSON log; null where a value is not known."""
        stages = (None, None, None) if self.stages is None else self.stages
        queue, tokenize, inference = (s if s is None else round(s * 1000, 3) for s in stages)
        return {
            "request_id": self.request_id,
            "route": self.route,
            "status": self.status,
            "model": self.model or None,
            "version": self.version or None,
            "texts": self.texts,
            "tokens": self.tokens,
            "queue_ms": queue,
            "tokenize_ms": tokenize,
            "inference_ms": inference,
        }


def record_of(scope: Scope) -> RequestRecord:
    """Return the record of a request."""
    record: RequestRecord = scope[KEY]
    return record


def request_id_from(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the client's `X-Request-Id` if it is valid, else a new id."""
    for name, value in headers:
        if name == REQUEST_ID and _VALID_ID.fullmatch(value):
            return value.decode()
    return new_request_id()


def new_request_id() -> str:
    """Return a random id."""
    return f"{random.getrandbits(128):032x}"


def log_request(record: RequestRecord, method: str, seconds: float, as_event: bool) -> None:
    """Write a request to the log.

    Args:
        record: the request, with its route and status.
        method: of the request.
        seconds: from its arrival to its answer.
        as_event: log it as an event, by its status; otherwise for debugging only.
    """
    level = logging.DEBUG
    if as_event:
        level = logging.INFO if record.status < 500 else logging.WARNING
        level = logging.ERROR if record.status == 500 else level
    if request_log.isEnabledFor(level):
        request_log.log(
            level,
            "request %s: %s %s %d in %.1f ms",
            record.request_id,
            method,
            record.route,
            record.status,
            seconds * 1000,
            extra={"request": record.log_fields()},
        )


def log_bug(error: BaseException, request_id: str) -> None:
    """Write an unexpected exception to the log."""
    fields = {"request": {"request_id": request_id}}
    log.error("request %s: a bug", request_id, exc_info=error, extra=fields)


def log_failed_texts(failed: int, record: RequestRecord) -> None:
    """Write to the log that some texts of a request have no prediction."""
    fields = {"request": {"request_id": record.request_id}}
    message = "request %s: %d of %d texts failed, see the lines before"
    log.error(message, record.request_id, failed, record.texts, extra=fields)
