"""Load shedding: what the queue has no room for is refused as soon as its head is read.

Offered ten times what it can do, a worker says no ten times as often as yes. The way through the
framework, and to read a body of many texts, would take a tenth of its time. Where keys are asked
for, requests go that way.
"""

import time
from collections.abc import Sequence

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from heed.service.errors import ServiceError
from heed.service.http.exchange import ProblemJson, check_head, length_of
from heed.service.http.middleware import NOSNIFF
from heed.service.inference.batcher import queue_full
from heed.service.routes.classify import EXPRESS
from heed.service.state import Service

Headers = Sequence[tuple[bytes, bytes]]


class Shedder:
    """Answers 429 for the routes that classify, the same as they would."""

    def __init__(self, service: Service) -> None:
        self._service = service
        guarded = service.settings.api_keys_file is not None
        self._paths = {} if guarded else {path.encode(): path for path in EXPRESS}
        reply = ProblemJson(queue_full())
        lines = [b"%b: %b\r\n" % header for header in (*reply.raw_headers, NOSNIFF)]
        self._rest = b"".join(lines) + b"\r\n" + bytes(reply.body)

    def refusal(
        self, method: bytes, url: bytes, headers: Headers, default_headers: Headers
    ) -> bytes | None:
        """The whole answer to a request with this head; None where the routes shall see it.

        They see it where there may be room, and where they would say something else: of models that
        warm up, of a head that no body makes good. And a client that waits for leave to send its
        body, since it has to be hung up on.
        """
        path = self._paths.get(url)
        if path is None or method != b"POST" or not self._sheds(dict(headers)):
            return None
        self._service.metrics.record_request(path, 429, "", time.perf_counter())
        first = b"".join(b"%b: %b\r\n" % header for header in default_headers)
        return STATUS_LINE[429] + first + self._rest

    def _sheds(self, headers: dict[bytes, bytes]) -> bool:
        lifecycle = self._service.lifecycle
        if not self._service.engine.batcher.lacks_room(length_of(headers)):
            return False
        try:
            check_head(headers, self._service.settings.max_body)
        except ServiceError:
            return False
        return lifecycle.warm and not lifecycle.draining and b"expect" not in headers
