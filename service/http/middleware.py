"""The middleware around every request: API key, fast routes, response headers, metrics."""

import asyncio
import hashlib
import hmac
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from heed.service.errors import (
    ClientDisconnected,
    DeadlineExceeded,
    QueueFull,
    ServiceError,
    Unauthorized,
)
from heed.service.http.request_body import check_headers, client_key, discard_body
from heed.service.http.request_record import (
    KEY,
    REQUEST_ID,
    RequestRecord,
    log_bug,
    log_request,
    request_id_from,
)
from heed.service.http.responses import error_response
from heed.service.http.tracing import Tracer
from heed.service.state import Service

GUARDED_PATHS = ("/classify", "/models")
NOSNIFF = (b"x-content-type-options", b"nosniff")

QUEUE_FULL = error_response(QueueFull(), "")
Endpoint = Callable[[Request], Awaitable[Response]]


class ServiceMiddleware:
    """ASGI middleware outside the framework's own.

    It calls the fast routes itself. The framework documents them, but its middleware, routing and
    dependency resolution would take a third of the time of a run of the network.
    """

    def __init__(
        self,
        app: ASGIApp,
        service: Service,
        fast_routes: Mapping[str, Endpoint],
        tracer: Tracer | None = None,
    ) -> None:
        """Args:
        app: the framework with all routes.
        service: its metrics count the responses. If it has keys, a request to a guarded path must
            carry one of them.
        fast_routes: the endpoint for a POST to a path.
        tracer: creates the spans of each request.
        """
        self.app = app
        self._service = service
        self._fast_routes = fast_routes
        self._tracer = tracer
        self._logs_requests = service.settings.log_format == "json"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path, endpoint = scope["path"], None
        record = scope[KEY] = RequestRecord(request_id_from(scope["headers"]))
        if scope["method"] == "POST":
            endpoint = self._fast_routes.get(path)
        else:
            scope = _without_head_and_range(scope)
        arrived = time.perf_counter()
        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started, status = True, message["status"]
                record.status = status
                message["headers"] += (NOSNIFF, (REQUEST_ID, record.request_id.encode()))
                if record.stages is not None:
                    message["headers"].append((b"server-timing", record.server_timing()))
                if self._closes_connection(scope, status):
                    message["headers"].append((b"connection", b"close"))
            elif (
                record.status >= 400
                and not message.get("more_body")
                and self._must_discard_body(scope)
            ):
                await send({**message, "more_body": True})
                await discard_body(receive)
                message = {"type": "http.response.body"}
            await send(message)

        try:
            if (
                self._service.key_labels
                and path.startswith(GUARDED_PATHS)
                and not self._has_key(scope)
            ):
                response = error_response(_unauthorized(), record.request_id)
                await response(scope, receive, send_with_headers)
            elif endpoint is None:
                await self.app(scope, receive, send_with_headers)
            elif self._is_rejected(scope):
                for message in _queue_full(record.request_id):
                    await send_with_headers(message)
            else:
                await self._call(endpoint, scope, receive, send_with_headers)
        except Exception as error:
            log_bug(error, record.request_id)
            if not started:
                response = error_response(error, record.request_id)
                await response(scope, receive, send_with_headers)
        finally:
            seconds = time.perf_counter() - arrived
            record.route = path if endpoint is not None else _route_path(scope)
            self._service.metrics.record_request(record.route, record.status, record.model, seconds)
            log_request(record, scope["method"], seconds, self._logs_requests)
            if self._tracer is not None:
                self._tracer.record(record, scope, arrived, seconds)

    def _is_rejected(self, scope: Scope) -> bool:
        """True if a fast route would reject the request because the queue is full.

        Under overload most requests are rejected. Here that takes half as long as in the route,
        where other errors come first.
        """
        service = self._service
        if service.engine.batcher.has_capacity(client_key(scope)) or not service.warm:
            return False
        try:
            check_headers(dict(scope["headers"]), service.settings.max_body)
        except ServiceError:
            return False
        return True

    async def _call(self, endpoint: Endpoint, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the response of a fast route."""
        request_id = scope[KEY].request_id
        try:
            async with asyncio.timeout(self._service.settings.timeout):
                response = await endpoint(Request(scope, receive))
        except TimeoutError:
            error = DeadlineExceeded("the answer took longer than --timeout")
            response = error_response(error, request_id)
        except (ServiceError, ClientDisconnected) as error:
            response = error_response(error, request_id)
        await response(scope, receive, send)

    def _closes_connection(self, scope: Scope, status: int) -> bool:
        """True while draining, and after an error if the client sent `Expect: 100-continue`.

        In the second case the server cannot know whether the client still sends the body.
        """
        return self._service.draining or (
            status >= 400 and any(name == b"expect" for name, _ in scope["headers"])
        )

    def _must_discard_body(self, scope: Scope) -> bool:
        """True if the connection is closed after an error while the client may still send.

        Closing it with the body unread resets it. A proxy such as nginx before 1.29.7 then answers
        502 instead of the error. On a connection that stays open, uvicorn drops the rest.
        """
        if scope.get("heed.body_read") or any(name == b"expect" for name, _ in scope["headers"]):
            return False
        return (
            scope["http_version"] == "1.0"
            or self._service.draining
            or (b"connection", b"close") in scope["headers"]
        )

    def _has_key(self, scope: Scope) -> bool:
        """True if the request carries a valid key. Every key is compared, in constant time."""
        sent = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        scheme, _, key = sent.partition(b" ")
        digest = _digest(key.strip())
        matches = [hmac.compare_digest(digest, known) for known in self._service.key_labels]
        return scheme.lower() == b"bearer" and any(matches)


def _without_head_and_range(scope: Scope) -> Scope:
    """HEAD is handled as GET; the server sends no body. Range headers are ignored."""
    method = "GET" if scope["method"] == "HEAD" else scope["method"]
    headers = [header for header in scope["headers"] if header[0] != b"range"]
    return {**scope, "method": method, "headers": headers}


def _queue_full(request_id: str) -> tuple[Message, Message]:
    """Return the messages of the response `QUEUE_FULL` with the id of a request."""
    id_field = b'"request_id":%b' % msgspec.json.encode(request_id)
    body = bytes(QUEUE_FULL.body).replace(b'"request_id":""', id_field)
    headers = [header for header in QUEUE_FULL.raw_headers if header[0] != b"content-length"]
    headers.append((b"content-length", b"%d" % len(body)))
    return (
        {"type": "http.response.start", "status": QUEUE_FULL.status_code, "headers": headers},
        {"type": "http.response.body", "body": body},
    )


def _unauthorized() -> Unauthorized:
    return Unauthorized(
        "send one of this server's keys as `Authorization: Bearer KEY`",
        {"WWW-Authenticate": 'Bearer realm="heed"'},
    )


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def _route_path(scope: Scope) -> str:
    """Return the declared path, so that a scan of invented paths adds no series to the metrics."""
    route: Any = scope.get("route")
    return getattr(route, "path", "other") if route is not None else "other"
