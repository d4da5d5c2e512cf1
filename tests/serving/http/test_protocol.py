"""The protocol of one connection: pipelining, upgrade offers, unknown methods."""

import asyncio
import re
from contextlib import suppress

import pytest
import uvloop

from tests.serving.http.connection import connect
from tests.support.server import TIMEOUT_SECONDS


def answers(*packets: bytes) -> bytes:
    """Send packets, then a request that closes the connection; return all answers."""

    async def send_all() -> bytes:
        async with connect() as (reader, writer, protocol, _), asyncio.timeout(TIMEOUT_SECONDS):
            sent = 0
            for packet in packets:
                writer.write(packet)
                sent += len(packet)
                while protocol.received < sent and not writer.is_closing():  # noqa: ASYNC110
                    await asyncio.sleep(0)
            writer.write(b"GET /last HTTP/1.1\r\nConnection: close\r\n\r\n")
            answer = b""
            with suppress(ConnectionResetError):  # the server closes before the last request
                while part := await reader.read(65536):
                    answer += part
            return answer

    return uvloop.run(send_all())


def statuses(*packets: bytes) -> list[int]:
    """The statuses of all answers to these packets."""
    return [int(status) for status in re.findall(rb"HTTP/1\.\d (\d+)", answers(*packets))]


OFFER = (
    b"POST /a HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
    b"HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n%b\r\n"
)
WHOLE = OFFER % b"Content-Length: 4\r\n" + b"body"
CHUNKED = OFFER % b"Transfer-Encoding: chunked\r\n" + b"2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n"
NEXT = b"GET /b HTTP/1.1\r\n\r\n"


@pytest.mark.parametrize("offer", [WHOLE, CHUNKED, WHOLE.replace(b"h2c", b"websocket")])
def test_an_upgrade_offer_is_ignored(offer: bytes) -> None:
    expected = [b"POST /a body", b"GET /b ", b"GET /last "]
    for packets in ([offer + NEXT], re.split(rb"(?=bo|\r\n\r\n)", offer + NEXT)):
        assert re.findall(rb"\r\n\r\n(.*?)(?=HTTP|$)", answers(*packets)) == expected
    assert statuses(NEXT + offer + offer) == [200] * 4
    assert statuses(offer * 600) == [200] * 601


def test_an_unknown_method_is_replaced_by_one_without_a_route() -> None:
    unknown = b"BREW /pot?a=1 HTTP/1.1\r\n\r\n"
    for packets in ([unknown], [NEXT, unknown], [WHOLE, unknown]):
        assert b"UNLINK /pot " in answers(*packets)
    # The parser replaces the method only at the beginning of a packet with a whole request line.
    assert statuses(NEXT + unknown) == [200], "the first is answered, then the server closes"
    assert statuses(NEXT + b"no request\r\n\r\n") == [200]
    assert statuses(b"BR", b"EW /pot HTTP/1.1\r\n\r\n") == [400]


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"", b""),
        (b"GET / HTTP/1.1\r\nHost: x\r\n", b"HTTP/1.1 408 "),
        (b"GET /a HTTP/1.1\r\n\r\nGET ", b"HTTP/1.1 200 "),
    ],
)
def test_a_head_that_is_too_slow_is_408(sent: bytes, answer: bytes) -> None:
    """A connection without any byte is closed. A slow head may follow another request."""

    async def read_all() -> bytes:
        async with (
            connect(head_timeout=0.05) as (reader, writer, _, _),
            asyncio.timeout(TIMEOUT_SECONDS),
        ):
            writer.write(sent)
            return await reader.read()

    received = uvloop.run(read_all())
    assert received.startswith(answer)
    assert (b"HTTP/1.1 408 " in received) == bool(sent)
