"""The HTTP protocol of one connection: uvicorn's, with limits on size and time.

A head is the request line with the headers.
"""

import asyncio
import select
import socket
import struct
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import msgspec
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from heed.service.errors import (
    HeadTooLarge,
    NotHttp,
    RequestTimeout,
    ServiceError,
    TooManyBytes,
    TooManyConnections,
)
from heed.service.http.parser import Parser
from heed.service.http.request_body import MAX_DISCARDED_BYTES
from heed.service.http.request_record import new_request_id
from heed.service.http.responses import problem_of
from heed.service.state import Service

MAX_HEAD_BYTES = 64 * 1024
"""Maximum size of a head. Browsers and proxies send at most a quarter of this."""
HEAD_TIMEOUT_SECONDS = 30.0

IDLE_SECONDS = 1.0
"""At shutdown, a connection without a request is closed after this time without a byte."""


LINGER_SECONDS = 2.0
"""Time after a rejection in which bytes are read and dropped. Closing a connection with unread
bytes resets it, and the client may lose the error."""
WRITE_BUFFER_BYTES = 16 * 1024
"""Bytes of an answer that a connection may hold without being counted or timed."""
SHUTDOWN_WRITE_SECONDS = 5.0
"""Replaces `--write-timeout` while the server shuts down."""


class Protocol(HttpToolsProtocol):
    """One connection of a server."""

    begun = 0
    """Requests that have begun."""
    ended = 0
    """Requests that are complete."""
    upgrade_head: bytes | None = None
    """The head of a request that asks for an upgrade, without the upgrade header."""
    _in_head = False
    """Whether a head has begun and is not complete."""
    _head_bytes = 0
    """Bytes received since the last complete head or part of a body."""
    _packet_bytes = 0
    """Size of the packet that is being parsed."""
    _body_bytes = 0
    """Bytes received of a body that is not complete."""
    _discarded_bytes = 0
    """Bytes that came after the response or the rejection."""
    _held_bytes = 0
    """This connection's share of `Service.inflight_bytes`."""
    _unwritten_bytes = 0
    """Bytes of the answer that the client had not taken when the write timer was started."""
    _head_timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None
    _linger_timer: asyncio.TimerHandle | None = None
    _fault: ServiceError | None = None
    """Why `on_headers_complete` has rejected the head."""

    def __init__(
        self,
        server: uvicorn.Server,
        service: Service,
        on_close: Callable[[], None],
        head_timeout: float = HEAD_TIMEOUT_SECONDS,
    ) -> None:
        """Args:
        server: its lifespan has started.
        service: its settings have the limits, its metrics count rejected requests.
        on_close: called when the connection has ended.
        head_timeout: seconds from connecting, or from the first byte of a later request, to the end
            of a head.
        """
        super().__init__(server.config, server.server_state, server.lifespan.state)
        self.parser = Parser(self)
        self._service = service
        self._on_close = on_close
        self._head_timeout = head_timeout

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timeout of the first head; reject the connection if there are too many."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(WRITE_BUFFER_BYTES)
        limit = self._service.settings.max_connections
        if len(self.connections) > limit:
            # A connection that lingers must not take the place of another one.
            self.connections.discard(self)
            message = f"{limit} connections are open (--max-connections); try again later"
            self._reject(TooManyConnections(message, {"Retry-After": "1"}))
        else:
            self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the timeouts, and count the held bytes no more."""
        self._cancel_head_timer()
        for timer in (self._write_timer, self._linger_timer):
            if timer is not None:
                timer.cancel()
        self._hold(0)
        super().connection_lost(exc)
        self._on_close()

    def data_received(self, data: bytes) -> None:
        """Parse the bytes; reject a head that is too large."""
        if self._linger_timer is not None:
            self._drop(len(data))
            return
        self._packet_bytes = len(data)
        self._head_bytes += self._packet_bytes
        super().data_received(data)
        if self._body_bytes != self._held_bytes and self._write_timer is None:
            self._hold_body()
        if self._head_bytes > MAX_HEAD_BYTES:
            self._reject(_head_too_large())
        elif self._head_timer is None and not self._is_answering():
            if self.begun != self.ended:
                self._start_head_timer()
            else:  # uvicorn has cancelled the timeout of an idle connection
                self._start_keep_alive_timer()

    def on_message_begin(self) -> None:
        """Count the begin of a request."""
        self.begun += 1
        self._in_head = True
        self._discarded_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Pass the request to the app; or keep its head for `Parser` if it asks for an upgrade."""
        self._check_head()
        self._head_bytes = 0
        self._in_head = False
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            self.upgrade_head = self._head_without_upgrade()
            return
        self._cancel_head_timer()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Pass a part of the body on."""
        self._head_bytes = 0
        if self.cycle.response_started:  # the rest is dropped
            self._drop(len(body))
        else:
            self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Count the end of a request."""
        self.ended += 1
        self._body_bytes = 0
        self._cancel_head_timer()  # of a body that came after its response
        if self.upgrade_head is None:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Start the timeout of what comes next: the rest of the answer, or of a request."""
        super().on_response_complete()
        if self.transport.is_closing():
            self._start_write_timer()
        elif self.begun != self.ended and self._head_timer is None and not self._is_answering():
            self._start_head_timer()

    def pause_writing(self) -> None:
        """Start the timeout of an answer that the client does not take."""
        super().pause_writing()
        self._hold(self.transport.get_write_buffer_size())
        self._start_write_timer()

    def resume_writing(self) -> None:
        """Cancel that timeout."""
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        self._hold(self._body_bytes)
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection; reset it if the client has not taken its last answer."""
        if self.transport.get_write_buffer_size():
            self._reset()
        super().timeout_keep_alive_handler()

    def shutdown(self) -> None:
        """Close the connection after its response, or once no request arrives any more.

        Every response that begins from now on announces the close. A client may have sent a
        request to an idle connection already, so an idle one stays open for `IDLE_SECONDS`.
        """
        if self._is_answering() and not self.cycle.response_started:
            self.cycle.keep_alive = False
        self._close_if_idle((-1, -1))
        if self.transport.get_write_buffer_size():  # the client may not take the rest
            self._start_write_timer()

    def send_400_response(self, msg: str) -> None:
        """Answer malformed HTTP with the same JSON as any other error."""
        self._reject(self._fault or NotHttp(msg))

    def _check_head(self) -> None:
        """Reject a head that came in one packet and is too large, or that has two hosts.

        uvicorn catches the parser's error and calls `send_400_response`.
        """
        received = max(self._head_bytes, self._packet_bytes)
        # The packet may also have other requests or a body, so only the measured size counts.
        if received > MAX_HEAD_BYTES and self._measure_head() > MAX_HEAD_BYTES:
            self._fault = _head_too_large()
        elif [name for name, _ in self.headers].count(b"host") > 1:
            self._fault = NotHttp("the request has more than one Host header; send one")
        if self._fault is not None:
            raise ValueError(self._fault.detail)

    def _measure_head(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

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
        self._head_timer = self.loop.call_later(self._head_timeout, self._end_head)

    def _start_keep_alive_timer(self) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def _cancel_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _end_head(self) -> None:
        """Reject a head that is not complete; close a connection without one."""
        if self._in_head:
            seconds = f"{self._head_timeout:g} seconds"
            self._reject(RequestTimeout(f"the head was not complete after {seconds}"))
        else:
            self.transport.close()

    def _start_write_timer(self) -> None:
        """Reset the connection if the client takes nothing of its answer for the timeout."""
        if self._write_timer is not None:
            self._write_timer.cancel()
        seconds = self._service.settings.write_timeout
        if self._service.draining:
            seconds = min(seconds, SHUTDOWN_WRITE_SECONDS)
        self._unwritten_bytes = self.transport.get_write_buffer_size()
        self._write_timer = self.loop.call_later(seconds, self._check_written)

    def _check_written(self) -> None:
        size = self.transport.get_write_buffer_size()
        if size and size >= self._unwritten_bytes:
            self._reset()
        elif size:
            self._hold(size)
            self._start_write_timer()

    def _reset(self) -> None:
        """Close the connection so that the system, too, drops what the client does not take."""
        linger = struct.pack("ii", 1, 0)
        connection = self.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.transport.abort()

    def _hold(self, size: int) -> None:
        """Count `size` bytes as held for this client."""
        self._service.inflight_bytes += size - self._held_bytes
        self._held_bytes = size

    def _hold_body(self) -> None:
        """Count the part of a body that has come; reject the request if all hold too much."""
        added = self._body_bytes > self._held_bytes
        self._hold(self._body_bytes)
        total, limit = self._service.inflight_bytes, self._service.settings.max_inflight_bytes
        if added and total > limit and total > self._body_bytes:
            message = f"slow clients hold {limit} bytes (--max-inflight-bytes); try again later"
            self._reject(TooManyBytes(message, {"Retry-After": "1"}))

    def _drop(self, size: int) -> None:
        """Count bytes that are dropped; close the connection if they are too many."""
        self._discarded_bytes += size
        if self._discarded_bytes > MAX_DISCARDED_BYTES:
            self.transport.close()

    def _reject(self, error: ServiceError) -> None:
        """Send the error and close; if an earlier request is being answered, close after that."""
        if self.transport.is_closing() or self._linger_timer is not None:
            return
        cycle = self.cycle
        if self._is_answering() and (not cycle.more_body or cycle.response_started):
            cycle.keep_alive = False
            self.flow.pause_reading()
            return
        if self._is_answering():  # the app gets no more of this request
            cycle.disconnected = True
            cycle.message_event.set()
        self._cancel_head_timer()
        self._body_bytes = 0
        self._hold(0)
        self._service.metrics.record_request("other", error.status, "", 0.0)
        request_id = new_request_id()
        body = msgspec.json.encode(problem_of(error, request_id))
        headers = {
            "content-type": "application/problem+json",
            "content-length": str(len(body)),
            "cache-control": "no-store",
            "x-request-id": request_id,
            "x-content-type-options": "nosniff",
            "connection": "close",
        } | error.headers
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        first = f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\n"
        self.transport.write(f"{first}{lines}\r\n".encode() + body)
        self.transport.write_eof()
        self._discarded_bytes = 0
        self._linger_timer = self.loop.call_later(LINGER_SECONDS, self.transport.abort)


def _head_too_large() -> HeadTooLarge:
    return HeadTooLarge(f"the head has more than {MAX_HEAD_BYTES} bytes; send less")
