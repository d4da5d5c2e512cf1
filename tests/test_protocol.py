"""A connection on which some requests are refused by their heads: answers in order, one each."""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from service.protocol import Protocol
from service.shedding import Headers, Shedder
from tests.server import PATIENCE


class ShedsByPath(Shedder):
    """Refuses whatever asks for /shed."""

    ANSWER = b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 9\r\n\r\nrefused.."

    def __init__(self) -> None:
        pass

    def refusal(self, _: bytes, url: bytes, *__: Headers) -> bytes | None:
        return self.ANSWER if url == b"/shed" else None


async def says_200(scope: Scope, receive: Receive, send: Send) -> None:
    """An app that reads a request to its end."""
    while (await receive()).get("more_body"):
        pass
    headers = [(b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body"})


@asynccontextmanager
async def connected() -> AsyncGenerator[tuple[asyncio.StreamReader, Any, Protocol]]:
    """The two ends of a connection: a client's reader and writer, and the server's protocol."""
    config = uvicorn.Config(says_200, lifespan="off", access_log=False, log_config=None)
    protocol = Protocol(config, ServerState(), {}, shedder=ShedsByPath(), on_lost=lambda: None)
    server = await asyncio.get_running_loop().create_server(lambda: protocol, "127.0.0.1")
    async with server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        yield reader, writer, protocol
        writer.transport.abort()


def statuses(*pieces: bytes) -> list[int]:
    """Send pieces of requests, and end with one that closes the connection."""

    async def exchange() -> bytes:
        async with connected() as (reader, writer, _), asyncio.timeout(PATIENCE):
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(0.01)  # most likely they are read one by one
            writer.write(b"GET /last HTTP/1.1\r\nConnection: close\r\n\r\n")
            return await reader.read()

    return [int(status) for status in re.findall(rb"HTTP/1\.\d (\d+)", uvloop.run(exchange()))]


SHED = b"POST /shed HTTP/1.1\r\nContent-Length: 4\r\n%b\r\n"


def test_a_body_behind_a_refusal_is_dropped() -> None:
    assert statuses(SHED % b"", b"GE", b"T ") == [429, 200]
    chunks = b"POST /shed HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"
    assert statuses(chunks, b"1\r\nb\r\n0\r\n\r\n") == [429, 200]
    assert statuses(SHED % b"" + b"body" + SHED % b"" + b"body") == [429, 429, 200]


def test_who_is_served_first_is_answered_first() -> None:
    slow = b"POST /served HTTP/1.1\r\nContent-Length: 2\r\n\r\n"
    assert statuses(slow, b"a", b"b" + SHED % b"", b"body") == [200, 200, 200]


@pytest.mark.parametrize(
    "head",
    [
        SHED % b"Connection: close\r\n",
        SHED % b"Connection: upgrade, keep-alive\r\nUpgrade: websocket\r\n",
        (SHED % b"Connection: keep-alive\r\n").replace(b"HTTP/1.1", b"HTTP/1.0"),
    ],
)
def test_heads_after_which_the_connection_is_another(head: bytes) -> None:
    assert statuses(head, b"body")[0] == 200


def test_what_is_no_http_behind_a_refusal() -> None:
    chunks = b"POST /shed HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert statuses(chunks, b"no chunk") == [429], "it is answered once"
    assert statuses(SHED % b"" + b"body", b"no request\r\n\r\n") == [429, 400]


def test_who_does_not_read_is_not_read_either() -> None:
    async def flood() -> int:
        async with connected() as (_, writer, protocol), asyncio.timeout(PATIENCE):
            for _ in range(100):
                writer.write(b"POST /shed HTTP/1.1\r\n\r\n" * 10_000)
            while protocol not in protocol.connections or protocol.transport.is_reading():
                if not writer.transport.get_write_buffer_size():
                    break
                await asyncio.sleep(0.01)
            return protocol.transport.get_write_buffer_size()

    assert uvloop.run(flood()) < 2_000_000
