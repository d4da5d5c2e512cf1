"""What every request passes first: its key is checked, its answer counted and given its headers."""

import hashlib
import hmac
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from heed.service.errors import ClientGone, ServiceError, Unauthorized
from heed.service.http.exchange import ProblemJson, respond
from heed.service.state import Service

GUARDED = ("/classify", "/models")
NOSNIFF = (b"x-content-type-options", b"nosniff")

Endpoint = Callable[[Request], Awaitable[Response]]


class Front:
    """ASGI middleware around all that the framework does.

    The routes that classify are answered from here. The framework documents them, but its layers
    (middleware, routing, dependencies) would take as long as a third of the network.
    """

    def __init__(
        self,
        app: ASGIApp,
        service: Service,
        keys: Sequence[str],
        express: Mapping[str, Endpoint],
    ) -> None:
        """Args:
        app: the framework with all routes.
        service: counts the answers.
        keys: one of them must come with a guarded request; none: everybody may ask.
        express: what answers a POST to a path without the framework.
        """
        self.app = app
        self._service = service
        self._keys = [_digest(key.encode()) for key in keys]
        self._express = express

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["method"] != "POST":
            scope = _plain(scope)
        scope["heed.arrived"] = arrived = time.perf_counter()
        status = 500

        async def observe(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"].append(NOSNIFF)
                if self._is_last(scope, status):
                    message["headers"].append((b"connection", b"close"))
            await send(message)

        path = scope["path"]
        endpoint = self._express.get(path) if scope["method"] == "POST" else None
        try:
            if self._keys and path.startswith(GUARDED) and not self._admits(scope):
                await _refusal()(scope, receive, observe)
            elif endpoint is None:
                await self.app(scope, receive, observe)
            else:
                await _answer(endpoint, scope, receive, observe)
        finally:
            self._service.metrics.record_request(
                path if endpoint is not None else _route(scope),
                status,
                scope.get("heed.model", ""),
                arrived,
            )

    def _is_last(self, scope: Scope, status: int) -> bool:
        """Whether to hang up after the answer.

        When the server drains, so that clients go elsewhere; and when the client waited for leave
        to send its body and was refused, since nobody knows whether the body still comes.
        """
        return self._service.lifecycle.draining or (
            status >= 400 and any(name == b"expect" for name, _ in scope["headers"])
        )

    def _admits(self, scope: Scope) -> bool:
        """Whether the request has a key. Every key is compared, in constant time."""
        sent = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        scheme, _, key = sent.partition(b" ")
        digest = _digest(key.strip())
        matches = [hmac.compare_digest(digest, known) for known in self._keys]
        return scheme.lower() == b"bearer" and any(matches)


async def _answer(endpoint: Endpoint, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer as the framework would: a bug is answered too, then raised for the log."""
    request = Request(scope, receive)
    try:
        response = await endpoint(request)
    except (ServiceError, ClientGone) as error:
        response = respond(error)
    except Exception as error:
        await respond(error)(scope, receive, send)
        raise
    await response(scope, receive, send)


def _plain(scope: Scope) -> Scope:
    """HEAD as GET, of which the server sends no body; and all of a file, however much was asked."""
    method = "GET" if scope["method"] == "HEAD" else scope["method"]
    headers = [header for header in scope["headers"] if header[0] != b"range"]
    return {**scope, "method": method, "headers": headers}


def _refusal() -> Response:
    return ProblemJson(
        Unauthorized(
            "send a key of this server as `Authorization: Bearer KEY`",
            {"WWW-Authenticate": 'Bearer realm="heed"'},
        )
    )


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


def _route(scope: Scope) -> str:
    """The path as declared, so that a scan of made-up paths cannot swell the metrics."""
    route: Any = scope.get("route")
    return getattr(route, "path", "other") if route is not None else "other"
