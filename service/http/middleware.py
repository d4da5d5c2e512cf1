"""The middleware around every request: API key, fast routes, response headers, metrics."""

import asyncio
import hashlib
import hmac
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from heed.service.errors import (
    ClientDisconnected,
    DeadlineExceeded,
    QueueFull,
    RequestTimeout,
    ServiceError,
    TooManyBytes,
    Unauthorized,
)
from heed.service.http.request_body import check_headers, client_key, discard_body
from heed.service.http.responses import error_response
from heed.service.state import Service

GUARDED_PATHS = ("/classify", "/models")
NOSNIFF = (b"x-content-type-options", b"nosniff")

QUEUE_FULL = error_response(QueueFull())
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
    ) -> None:
        """Args:
        app: the framework with all routes.
        service: its metrics count the responses. If it has keys, a request to a guarded path must
            carry one of them.
        fast_routes: the endpoint for a POST to a path.
        """
        self.app = app
        self._service = service
        self._fast_routes = fast_routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path, endpoint = scope["path"], None
        if scope["method"] == "POST":
            endpoint = self._fast_routes.get(path)
        else:
            scope = _without_head_and_range(scope)
        arrived = time.perf_counter()
        status = 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"].append(NOSNIFF)
                if self._closes_connection(scope, status):
                    message["headers"].append((b"connection", b"close"))
            elif status >= 400 and not message.get("more_body") and self._must_discard_body(scope):
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
                await _unauthorized()(scope, receive, send_with_headers)
            elif endpoint is None:
                await self.app(scope, receive, send_with_headers)
            elif self._is_rejected(scope):
                headers = list(QUEUE_FULL.raw_headers)
                await send_with_headers(
                    {"type": "http.response.start", "status": 429, "headers": headers}
                )
                await send_with_headers({"type": "http.response.body", "body": QUEUE_FULL.body})
            else:
                await self._call(endpoint, scope, receive, send_with_headers)
        finally:
            self._service.metrics.record_request(
                path if endpoint is not None else _route_path(scope),
                status,
                scope.get("heed.model", ""),
                time.perf_counter() - arrived,
            )

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
        """Send the response of a fast route. A bug is answered too, then raised for the log."""
        try:
            async with asyncio.timeout(self._service.settings.timeout):
                response = await endpoint(Request(scope, receive))
        except TimeoutError:
            response = error_response(_timeout_error(scope))
        except (ServiceError, ClientDisconnected) as error:
            response = error_response(error)
        except Exception as error:
            await error_response(error)(scope, receive, send)
            raise
        held, limit = self._service.inflight_bytes, self._service.settings.max_inflight_bytes
        if held and held + len(response.body) > limit:
            response = error_response(_too_many_bytes(limit))
        await response(scope, receive, send)

    def _closes_connection(self, scope: Scope, status: int) -> bool:
        """True while draining, and if the server cannot know whether the client sends the body.

        That is after a timeout, and after an error if the client sent `Expect: 100-continue`.
        """
        return (
            self._service.draining
            or status == RequestTimeout.status
            or (status >= 400 and any(name == b"expect" for name, _ in scope["headers"]))
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


def _timeout_error(scope: Scope) -> ServiceError:
    """Return the error of a request that took longer than `--timeout`."""
    if scope.get("heed.body_read"):
        return DeadlineExceeded("the answer took longer than --timeout")
    return RequestTimeout("the body was not complete after --timeout; send it faster")


def _too_many_bytes(limit: int) -> TooManyBytes:
    return TooManyBytes(
        f"slow clients hold almost {limit} bytes (--max-inflight-bytes); try again later",
        {"Retry-After": "1"},
    )


def _unauthorized() -> Response:
    return error_response(
        Unauthorized(
            "send one of this server's keys as `Authorization: Bearer KEY`",
            {"WWW-Authenticate": 'Bearer realm="heed"'},
        )
    )


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def _route_path(scope: Scope) -> str:
    """Return the declared path, so that a scan of invented paths adds no series to the metrics."""
    route: Any = scope.get("route")
    return getattr(route, "path", "other") if route is not None else "other"
