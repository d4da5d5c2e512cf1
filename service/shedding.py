"""Load shedding: what the queue has no room for is refused as soon as its head is read.

Offered ten times what it can do, a worker says no ten times as often as yes. The way through the
framework, and to read a body of many texts, would take a tenth of its time.
"""

import time
from collections.abc import Sequence

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service.exchange import ProblemJson, length_of
from service.front import NOSNIFF
from service.inference.batcher import queue_full
from service.state import Service

Headers = Sequence[tuple[bytes, bytes]]
PATHS = {path.encode(): path for path in ("/classify", "/classify/batch")}


class Shedder:
    """Answers 429 for the routes that classify, the same as they would."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._guarded = service.settings.api_keys_file is not None
        reply = ProblemJson(queue_full())
        lines = [b"%b: %b\r\n" % header for header in (*reply.raw_headers, NOSNIFF)]
        self._rest = b"".join(lines) + b"\r\n" + bytes(reply.body)

    @property
    def must_look(self) -> bool:
        """Whether there may be something to refuse."""
        return self._service.engine.batcher.is_crowded

    def refusal(
        self, method: bytes, url: bytes, headers: Headers, default_headers: Headers
    ) -> bytes | None:
        """The whole answer to a request with this head; None where the routes shall see it.

        They see it where there may be room, and where something else comes before a full queue: a
        key to check, models that warm up, a connection to close.
        """
        path, lifecycle = PATHS.get(url), self._service.lifecycle
        if path is None or method != b"POST" or self._guarded:
            return None
        if not lifecycle.warm or lifecycle.draining:
            return None
        if not self._service.engine.batcher.lacks_room(length_of(dict(headers))):
            return None
        self._service.metrics.record_request(path, 429, "", time.perf_counter())
        first = b"".join(b"%b: %b\r\n" % header for header in default_headers)
        return STATUS_LINE[429] + first + self._rest
