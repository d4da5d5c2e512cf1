"""The HTTP protocol of one connection: uvicorn's, which bounds neither the size of a request's
head nor the time it takes, with both bounded.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from heed.service.errors import HeadTooLarge, NotHttp, ServiceError
from heed.service.http.parser import Parser
from heed.service.http.shedding import Shedder

HEAD_BYTES = 64 * 1024
"""Of a request line with its headers; browsers and proxies send at most a quarter of it."""
HEAD_SECONDS = 30.0
"""From connecting, from a request that was shed, or from the first byte of another, to the end of a
head."""


class Protocol(HttpToolsProtocol):
    """One connection, see `service.parser.Connection`."""

    begun = 0
    ended = 0
    put_off: bytes | None = None
    _head = 0
    """Bytes received since a head, or a piece of a body, was last complete."""
    _timer: asyncio.TimerHandle | None = None
    _is_shed = False
    """Whether the request whose body comes was refused with its head."""

    def __init__(self, *about: Any, shedder: Shedder, on_lost: Callable[[], None]) -> None:
        """Args:
        about: for uvicorn's.
        shedder: refuses requests by their heads.
        on_lost: called once it has ended.
        """
        super().__init__(*about)
        self.parser = Parser(self)
        self._shedder = shedder
        self._on_lost = on_lost

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to wait for a head."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop to wait."""
        self._stop_waiting()
        super().connection_lost(exc)
        self._on_lost()

    def data_received(self, data: bytes) -> None:
        """Parse what came; hang up where it goes on for ever."""
        self._head += len(data)
        super().data_received(data)
        if self._head > HEAD_BYTES:
            self._refuse(HeadTooLarge(f"the head has more than {HEAD_BYTES} bytes; send less"))
        elif self._timer is None and not self._works():
            self._await_head()

    def on_message_begin(self) -> None:
        """Take the begin of a request."""
        self.begun += 1
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Hand the request over, or refuse it; or put it off, see `Parser`."""
        self._head = 0
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            self.put_off = self._without_offer()
            return
        self._stop_waiting()
        refusal = self._shed() if self._goes_on() else None
        self._is_shed = refusal is not None
        if refusal is None:
            super().on_headers_complete()
        else:
            self.transport.write(refusal)

    def on_body(self, body: bytes) -> None:
        """Take a piece of a body."""
        self._head = 0
        if not self._is_shed:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Take the end of a request."""
        self.ended += 1
        if self.put_off is not None:
            return
        if self._is_shed:
            self._is_shed = False
        else:
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is not HTTP as any other error is answered."""
        self._refuse(NotHttp(msg))

    def _goes_on(self) -> bool:
        """Whether the connection stays as it is, the answer to this request is the next, and the
        client reads.
        """
        return (
            not self._works()
            and not self.flow.write_paused
            and self.parser.get_http_version() == "1.1"
            and self.parser.should_keep_alive()
        )

    def _without_offer(self) -> bytes:
        """The head that has come, less what offers another protocol."""
        first = self.parser.get_method(), self.url, self.parser.get_http_version().encode()
        kept = (header for header in self.headers if header[0] != b"upgrade")
        lines = b"".join(b"%b: %b\r\n" % header for header in kept)
        return b"%b %b HTTP/%b\r\n%b\r\n" % (*first, lines)

    def _shed(self) -> bytes | None:
        defaults = self.server_state.default_headers
        return self._shedder.refusal(self.parser.get_method(), self.url, self.headers, defaults)

    def _works(self) -> bool:
        """Whether a request is being answered."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _await_head(self) -> None:
        self._timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, error: ServiceError) -> None:
        if self.transport.is_closing():
            return
        if self._works() and not self.cycle.more_body:  # what came before is answered first
            self.cycle.keep_alive = False
            self.flow.pause_reading()
            return
        if self._is_shed:  # it has its answer
            self.transport.close()
            return
        problem: dict[str, Any] = error.problem()
        body = msgspec.json.encode(problem)
        head = b"content-type: application/problem+json\r\ncontent-length: %d\r\nconnection: close"
        self.transport.write(STATUS_LINE[problem["status"]] + head % len(body) + b"\r\n\r\n" + body)
        self.transport.close()
