"""A connection on which some requests are refused by their heads: answers in order, one each."""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from heed.service.http.protocol import Protocol
from heed.service.http.shedding import Headers, Shedder
from tests.support.server import PATIENCE


class ShedsByPath(Shedder):
    """Refuses whatever asks for /shed."""

    ANSWER = b"HTTP/1.1 429 Too Many Requests\r\ncontent-length: 9\r\n\r\nrefused.."

    def __init__(self) -> None:
        pass

    def refusal(self, _: bytes, url: bytes, *__: Headers) -> bytes | None:
        return self.ANSWER if url == b"/shed" else None


async def says_200(scope: Scope, receive: Receive, send: Send) -> None:
    """An app that reads a request to its end, and says what it was."""
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    said = b"%b %b %b" % (scope["method"].encode(), scope["raw_path"], body)
    headers = [(b"content-length", b"%d" % len(said))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": said})


class SeeingProtocol(Protocol):
    """Tells how many bytes it has been given."""

    seen = 0

    def data_received(self, data: bytes) -> None:
        self.seen += len(data)
        super().data_received(data)


@asynccontextmanager
async def connected() -> AsyncGenerator[tuple[asyncio.StreamReader, Any, SeeingProtocol]]:
    """The two ends of a connection: a client's reader and writer, and the server's protocol."""
    config = uvicorn.Config(says_200, lifespan="off", access_log=False, log_config=None)
    protocol = SeeingProtocol(
        config, ServerState(), {}, shedder=ShedsByPath(), on_lost=lambda: None
    )
    server = await asyncio.get_running_loop().create_server(lambda: protocol, "127.0.0.1")
    async with server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        yield reader, writer, protocol
        writer.transport.abort()


def answers(*pieces: bytes) -> bytes:
    """Send pieces of requests, and end with one that closes the connection."""

    async def exchange() -> bytes:
        async with connected() as (reader, writer, protocol), asyncio.timeout(PATIENCE):
            sent = 0
            for piece in pieces:  # read one by one
                writer.write(piece)
                sent += len(piece)
                while protocol.seen < sent and not writer.is_closing():  # noqa: ASYNC110
                    await asyncio.sleep(0)
            writer.write(b"GET /last HTTP/1.1\r\nConnection: close\r\n\r\n")
            answer = b""
            with suppress(ConnectionResetError):  # of what came behind the end of it
                while part := await reader.read(65536):
                    answer += part
            return answer

    return uvloop.run(exchange())


def statuses(*pieces: bytes) -> list[int]:
    """Of the answers to these."""
    return [int(status) for status in re.findall(rb"HTTP/1\.\d (\d+)", answers(*pieces))]


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
        (SHED % b"Connection: keep-alive\r\n").replace(b"HTTP/1.1", b"HTTP/1.0"),
    ],
)
def test_heads_after_which_the_connection_is_another(head: bytes) -> None:
    assert statuses(head, b"body")[0] == 200


OFFER = (
    b"POST /a HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n%b\r\n"
)
WHOLE = OFFER % b"Content-Length: 4\r\n" + b"body"
CHUNKED = OFFER % b"Transfer-Encoding: chunked\r\n" + b"2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n"
NEXT = b"GET /b HTTP/1.1\r\n\r\n"


@pytest.mark.parametrize("offer", [WHOLE, CHUNKED, WHOLE.replace(b"h2c", b"websocket")])
def test_an_offer_of_another_protocol_is_ignored(offer: bytes) -> None:
    said = [b"POST /a body", b"GET /b ", b"GET /last "]
    for pieces in ([offer + NEXT], re.split(rb"(?=bo|\r\n\r\n)", offer + NEXT)):
        assert re.findall(rb"\r\n\r\n(.*?)(?=HTTP|$)", answers(*pieces)) == said
    assert statuses(NEXT + offer + offer) == [200] * 4
    assert statuses(offer * 600) == [200] * 601
    shed = offer.replace(b"/a", b"/shed")
    assert statuses(shed, NEXT) == [429, 200, 200]


def test_a_method_that_nobody_knows_is_one_that_no_route_has() -> None:
    unknown = b"BREW /pot?a=1 HTTP/1.1\r\n\r\n"
    for pieces in ([unknown], [NEXT, unknown], [WHOLE, unknown]):
        assert b"UNLINK /pot " in answers(*pieces)
    # Behind a request that is not known to end there, or not as a whole, it is no HTTP.
    assert statuses(NEXT + unknown) == [200], "the first is answered, then the server hangs up"
    assert statuses(NEXT + b"no request\r\n\r\n") == [200]
    assert statuses(b"BR", b"EW /pot HTTP/1.1\r\n\r\n") == [400]
    assert statuses(SHED % b"", unknown[:4] + unknown) == [429, 400]


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
