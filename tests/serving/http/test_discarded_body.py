"""The rest of the body of a rejected request, as a proxy sends it."""

import asyncio
import json
import socket
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from heed.service.http.request_body import discard_body
from tests.support.server import TIMEOUT_SECONDS, Server, serve

LIMIT = 1000
SIZE = 3_000_000


@pytest.fixture(scope="module")
def strict(trained: Path) -> Generator[Server]:
    with serve(trained, "--max-body", LIMIT) as running:
        yield running


@contextmanager
def rejected(server: Server, version: str, connection: str) -> Generator[socket.socket]:
    """Yield a connection on which a third of a body was sent and the whole response was read."""
    head = (
        f"POST /classify HTTP/{version}\r\nHost: x\r\nConnection: {connection}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {SIZE}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), TIMEOUT_SECONDS) as client:
        client.sendall(head.encode() + b"x" * (SIZE // 3))
        answer = b""
        while not answer.endswith(b"}"):
            part = client.recv(65536)
            assert part, "the connection was closed before the whole response"
            answer += part
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["status"] == 413
        yield client


@pytest.mark.parametrize(("version", "connection"), [("1.0", "close"), ("1.1", "close")])
def test_a_connection_is_closed_after_the_end_of_the_body(
    strict: Server, version: str, connection: str
) -> None:
    for _ in range(5):  # an early close resets the connection, sooner or later
        with rejected(strict, version, connection) as client:
            for _ in range(20):
                client.sendall(b"x" * (SIZE // 30))
            assert client.recv(1) == b""


def test_a_connection_that_is_kept_answers_the_next_request(strict: Server) -> None:
    with rejected(strict, "1.1", "keep-alive") as client:
        client.sendall(b"x" * (SIZE // 3 * 2) + b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_a_body_without_end_is_not_read_for_ever(strict: Server) -> None:
    head = b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % 10**12
    with socket.create_connection(("127.0.0.1", strict.port), TIMEOUT_SECONDS) as client:
        client.sendall(head)
        assert client.recv(65536).startswith(b"HTTP/1.1 415 ")
        with pytest.raises(ConnectionError):
            client.sendall(b"x" * 100_000_000)


def test_reading_ends_at_the_limit_of_bytes_or_time_or_with_the_connection() -> None:
    parts = 0

    async def endless() -> dict[str, Any]:
        nonlocal parts
        parts += 1
        return {"type": "http.request", "body": b"x" * 100, "more_body": True}

    async def silent() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def disconnected() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    asyncio.run(discard_body(endless, limit=1000))
    assert parts == 10
    asyncio.run(discard_body(silent, seconds=0.01))
    asyncio.run(discard_body(disconnected))
