"""The middleware around every request: API key, fast routes, response headers, metrics."""

import asyncio
import hashlib
import ipaddress
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from math import ceil
from typing import Any

import msgspec
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from heed.service.errors import (
    ClientDisconnected,
    DeadlineExceeded,
    QueueFull,
    RateLimited,
    RequestTimeout,
    ServiceError,
    TooManyBytes,
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
CORS_HEADERS = ("Authorization", "Content-Type", "X-Request-Id", "traceparent", "tracestate")
"""Request headers that a page of an allowed origin may send."""
EXPOSED_HEADERS = (
    *("Retry-After", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"),
    *("X-Request-Id", "Server-Timing"),
)
"""Response headers that such a page may read."""
IPV6_CLIENT_BITS = 64
"""A provider gives each client a network of this prefix."""

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
        root = service.settings.root_path or ""  # uvicorn puts it before each path
        self._fast_routes = {
            root + path: (path, endpoint) for path, endpoint in fast_routes.items()
        }
        self._guarded_paths = tuple(root + path for path in GUARDED_PATHS)
        self._tracer = tracer
        self._logs_requests = service.settings.log_format == "json"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        service, path = self._service, scope["path"]
        record = scope[KEY] = RequestRecord(request_id_from(scope["headers"]))
        route: str | None = None
        endpoint: Endpoint | None = None
        if scope["method"] == "POST":
            route, endpoint = self._fast_routes.get(path, (None, None))
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
            refused = None
            if (service.key_labels or service.rate_limiter) and path.startswith(
                self._guarded_paths
            ):
                refused = self._check_client(scope)
            if refused is not None:
                response = error_response(refused, record.request_id)
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
            record.route = _route_path(scope) if route is None else route
            service.metrics.record_request(record.route, record.status, record.model, seconds)
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
            response = error_response(_timeout_error(scope), request_id)
        except (ServiceError, ClientDisconnected) as error:
            response = error_response(error, request_id)
        held, limit = self._service.inflight_bytes, self._service.settings.max_inflight_bytes
        if held and held + len(response.body) > limit:
            response = error_response(_too_many_bytes(limit), request_id)
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

    def _check_client(self, scope: Scope) -> ServiceError | None:
        """Return why a request to a guarded path is refused: its key, or the client's rate.

        The scope gets `heed.client`, which is the same for all requests of a key, and
        `heed.key_label` for the log.
        """
        service = self._service
        digest = _key_digest(scope)
        label = None if digest is None else service.key_labels.get(digest)
        if label is not None:
            scope["heed.client"], scope["heed.key_label"] = digest, label
        if service.rate_limiter is not None:
            client = _network(scope) if digest is None or label is None else digest
            wait = service.rate_limiter.admit(client)
            if wait:
                return _rate_limited(service.rate_limiter.rate, wait)
        return _unauthorized() if service.key_labels and label is None else None


def add_middleware(
    app: ASGIApp, service: Service, fast_routes: Mapping[str, Endpoint], tracer: Tracer | None
) -> ASGIApp:
    """Return the app with `ServiceMiddleware`, and with what the settings ask for around it."""
    settings = service.settings
    app = ServiceMiddleware(app, service, fast_routes, tracer)
    if settings.allow_origin:
        app = CORSMiddleware(
            app,
            allow_origins=settings.allow_origin,
            allow_methods=("GET", "POST"),
            allow_headers=CORS_HEADERS,
            expose_headers=EXPOSED_HEADERS,
        )
    if settings.trusted_proxies:
        networks = map(ipaddress.ip_network, settings.trusted_proxies)
        proxies = [name for network in networks for name in _network_names(network)]
        app = ProxyHeadersMiddleware(app, proxies)  # type: ignore[arg-type, assignment]
    return app


def _network_names(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> list[str]:
    """Return a network, for IPv4 also as a socket that listens on IPv6 reports it."""
    if network.version == 6:
        return [str(network)]
    return [str(network), f"::ffff:{network.network_address}/{96 + network.prefixlen}"]


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


def _unauthorized() -> Unauthorized:
    return Unauthorized(
        "send one of this server's keys as `Authorization: Bearer KEY`",
        {"WWW-Authenticate": 'Bearer realm="heed"'},
    )


def _rate_limited(rate: float, wait: float) -> RateLimited:
    seconds = str(ceil(wait))
    headers = {
        "Retry-After": seconds,
        "RateLimit-Limit": str(ceil(rate)),
        "RateLimit-Remaining": "0",
        "RateLimit-Reset": seconds,
    }
    return RateLimited(f"more than {rate:g} requests a second (--rate-limit)", headers)


def _key_digest(scope: Scope) -> bytes | None:
    """Return the SHA-256 of the key that a request carries.

    The time of a comparison of digests reveals nothing of a key.
    """
    sent = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
    scheme, _, key = sent.partition(b" ")
    return hashlib.sha256(key.strip()).digest() if scheme.lower() == b"bearer" else None


def _network(scope: Scope) -> bytes:
    """Return the client's address, or for IPv6 its network."""
    host: str = scope["client"][0] if scope["client"] else ""
    if ":" in host:
        with suppress(ValueError):
            address = ipaddress.IPv6Address(host)
            if address.ipv4_mapped is None:
                return address.packed[: IPV6_CLIENT_BITS // 8]
    return host.encode()


def _route_path(scope: Scope) -> str:
    """Return the declared path, so that a scan of invented paths adds no series to the metrics."""
    route: Any = scope.get("route")
    return getattr(route, "path", "other") if route is not None else "other"
