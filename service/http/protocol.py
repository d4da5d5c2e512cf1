"""The HTTP protocol of one connection: uvicorn's, with limits on the size and time of a head.

A head is the request line with the headers.
"""

import asyncio
import select
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import msgspec
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from heed.service.errors import HeadTooLarge, NotHttp, ServiceError
from heed.service.http.parser import Parser
from heed.service.http.request_body import MAX_DISCARDED_BYTES
from heed.service.http.request_record import new_request_id
from heed.service.http.responses import problem_of

MAX_HEAD_BYTES = 64 * 1024
"""Maximum size of a head. Browsers and proxies send at most a quarter of this."""
HEAD_TIMEOUT_SECONDS = 30.0
"""From connecting, or from the first byte of a later request, to the end of a head."""

IDLE_SECONDS = 1.0
"""At shutdown, a connection without a request is closed after this time without a byte."""


class Protocol(HttpToolsProtocol):
    """One connection of a server."""

    begun = 0
    """Requests that have begun."""
    ended = 0
    """Requests that are complete."""
    upgrade_head: bytes | None = None
    """The head of a request that asks for an upgrade, without the upgrade header."""
    _head_bytes = 0
    """Bytes received since the last complete head or part of a body."""
    _discarded_bytes = 0
    """Bytes of the current body that came after its response."""
    _head_timer: asyncio.TimerHandle | None = None

    def __init__(self, server: uvicorn.Server, on_close: Callable[[], None]) -> None:
        """Args:
        server: its lifespan has started.
        on_close: called when the connection has ended.
        """
        super().__init__(server.config, server.server_state, server.lifespan.state)
        self.parser = Parser(self)
        self._on_close = on_close

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timeout of the first head."""
        super().connection_made(transport)
        self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timeout."""
        self._cancel_head_timer()
        super().connection_lost(exc)
        self._on_close()

    def data_received(self, data: bytes) -> None:
        """Parse the bytes; reject a head that is too large."""
        self._head_bytes += len(data)
        super().data_received(data)
        if self._head_bytes > MAX_HEAD_BYTES:
            self._reject(HeadTooLarge(f"the head has more than {MAX_HEAD_BYTES} bytes; send less"))
        elif self._head_timer is None and not self._is_answering():
            self._start_head_timer()

    def on_message_begin(self) -> None:
        """Count the begin of a request."""
        self.begun += 1
        self._discarded_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Pass the request to the app; or keep its head for `Parser` if it asks for an upgrade."""
        self._head_bytes = 0
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            self.upgrade_head = self._head_without_upgrade()
            return
        self._cancel_head_timer()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Pass a part of the body on."""
        self._head_bytes = 0
        if self.cycle.response_complete:  # uvicorn drops it
            self._discarded_bytes += len(body)
            if self._discarded_bytes > MAX_DISCARDED_BYTES:
                self.transport.close()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Count the end of a request."""
        self.ended += 1
        if self.upgrade_head is None:
            super().on_message_complete()

    def shutdown(self) -> None:
        """Close the connection after its response, or once no request arrives any more.

        Every response that begins from now on announces the close. A client may have sent a
        request to an idle connection already, so an idle one stays open for `IDLE_SECONDS`.
        """
        if self._is_answering() and not self.cycle.response_started:
            self.cycle.keep_alive = False
        self._close_if_idle((-1, -1))

    def send_400_response(self, msg: str) -> None:
        """Answer malformed HTTP with the same JSON as any other error."""
        self._reject(NotHttp(msg))

    def _head_without_upgrade(self) -> bytes:
        first = self.parser.get_method(), self.url, self.parser.get_http_version().encode()
        kept = (header for header in self.headers if header[0] != b"upgrade")
        lines = b"".join(b"%b: %b\r\n" % header for header in kept)
        return b"%b %b HTTP/%b\r\n%b\r\n" % (*first, lines)

    def _is_answering(self) -> bool:
        cycle: Any = self.cycle  # None before the first request
        return cycle is not None and not cycle.response_complete

    def _close_if_idle(self, before: tuple[int, int]) -> None:
        """Close if nothing has arrived since `before`, and check again later otherwise."""
        if self.transport.is_closing():
            return
        now = self.begun, self._head_bytes
        if self._is_answering() or now != before or self._has_unread_bytes():
            self.loop.call_later(IDLE_SECONDS, self._close_if_idle, now)
        else:
            self.transport.close()

    def _has_unread_bytes(self) -> bool:
        """Return whether the system has bytes of the client that the loop has not read yet."""
        poll = select.poll()
        poll.register(self.transport.get_extra_info("socket").fileno(), select.POLLIN)
        return bool(poll.poll(0))

    def _start_head_timer(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT_SECONDS, self.transport.close)

    def _cancel_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _reject(self, error: ServiceError) -> None:
        """Send the error and close; if an earlier request is being answered, close after that."""
        if self.transport.is_closing():
            return
        if self._is_answering() and not self.cycle.more_body:
            self.cycle.keep_alive = False
            self.flow.pause_reading()
            return
        request_id = new_request_id()
        body = msgspec.json.encode(problem_of(error, request_id))
        head = (
            f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\n"
            f"content-type: application/problem+json\r\ncontent-length: {len(body)}\r\n"
            f"x-request-id: {request_id}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
