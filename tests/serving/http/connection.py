"""A connection to the service's HTTP protocol, with an app that returns the request."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.types import Receive, Scope, Send

from heed.service.http.protocol import HEAD_TIMEOUT_SECONDS, Protocol
from heed.service.inference import Engine
from heed.service.metrics import Metrics
from heed.service.settings import Settings
from heed.service.state import Service


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """An app that returns the method, path and body of a request."""
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    content = b"%b %b %b" % (scope["method"].encode(), scope["raw_path"], body)
    headers = [(b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})


class CountingProtocol(Protocol):
    """A protocol that counts the bytes it received."""

    received = 0

    def data_received(self, data: bytes) -> None:
        self.received += len(data)
        super().data_received(data)


@asynccontextmanager
async def connect(
    head_timeout: float = HEAD_TIMEOUT_SECONDS,
) -> AsyncGenerator[tuple[asyncio.StreamReader, Any, CountingProtocol, uvicorn.Server]]:
    """Yield a client's reader and writer, the server's protocol of that connection, the server."""
    config = uvicorn.Config(echo, lifespan="off", access_log=False, log_config=None)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    service = Service(Settings(), Engine({}, None, max_queue=1), Metrics())
    protocol = CountingProtocol(server, service, on_close=lambda: None, head_timeout=head_timeout)
    listener = await asyncio.get_running_loop().create_server(lambda: protocol, "127.0.0.1")
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        yield reader, writer, protocol, server
        writer.transport.abort()
