"""Connections of slow, impatient, disconnected and malicious clients."""

import http.client
import json
import socket
from collections import Counter
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import TIMEOUT_SECONDS, Server, serve, wait_for

BODY = b'{"text": "a film", "explain": "none"}'
LIMIT = 1000


@pytest.fixture(scope="module")
def strict(trained: Path) -> Generator[Server]:
    """A server with small limits."""
    with serve(trained, "--max-body", LIMIT, "--timeout", 0.5) as running:
        yield running


def head(*headers: str, path: str = "/classify") -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: x", "Content-Type: application/json", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def post(body: bytes, *headers: str) -> bytes:
    return head(f"Content-Length: {len(body)}", *headers) + body


def parse(answer: bytes) -> tuple[int, dict[str, str], Any]:
    """Status, headers and JSON body of one answer."""
    start, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = start.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(first.split()[1]), headers, json.loads(body)


def check_error(answer: bytes, status: int) -> dict[str, str]:
    found, headers, problem = parse(answer)
    assert (found, problem["status"]) == (status, status)
    assert headers["content-type"] == "application/problem+json"
    return headers


def test_a_large_body_is_413_before_it_is_sent(strict: Server) -> None:
    answer = strict.send(head(f"Content-Length: {LIMIT + 1}"), until=b"}")
    check_error(answer, 413)
    check_error(strict.send(head(f"Content-Length: {10**15}"), until=b"}"), 413)


def test_a_large_body_in_chunks_is_413_once_it_exceeds_the_limit(strict: Server) -> None:
    chunk = b"%x\r\n%b\r\n" % (LIMIT + 1, b"x" * (LIMIT + 1))
    answer = strict.send(head("Transfer-Encoding: chunked") + chunk, until=b"}")
    check_error(answer, 413)


def test_a_body_at_the_limit_is_read(strict: Server) -> None:
    body = BODY.ljust(LIMIT)
    status, _, answer = parse(strict.send(post(body, "Connection: close")))
    assert (status, answer["label"] is not None) == (200, True)
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    sent = head("Transfer-Encoding: chunked", "Connection: close") + chunks
    assert parse(strict.send(sent))[2] == answer


def test_expect_100_continue_is_answered_before_the_body(strict: Server) -> None:
    large = head(f"Content-Length: {LIMIT + 1}", "Expect: 100-continue")
    headers = check_error(strict.send(large), 413)
    assert headers["connection"] == "close", "the client may or may not send the body"
    fine = head(f"Content-Length: {len(BODY)}", "Expect: 100-continue", "Connection: close")
    with socket.create_connection(("127.0.0.1", strict.port), TIMEOUT_SECONDS) as connection:
        connection.sendall(fine)
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(BODY)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")


def test_a_connection_stays_open_after_a_413(strict: Server) -> None:
    large = post(b"x" * (LIMIT + 1))
    answer = strict.send(large + post(BODY, "Connection: close"))
    assert answer.count(b"HTTP/1.1 413") == 1
    assert answer.count(b"HTTP/1.1 200") == 1


def test_a_body_that_is_too_slow_is_408(strict: Server) -> None:
    answer = strict.send(head("Content-Length: 100") + b'{"text', until=b"}")
    assert check_error(answer, 408)["connection"] == "close"


def test_pipelined_requests_are_answered_in_order(server: Server) -> None:
    texts = [f"film {number}" for number in range(20)]
    requests = [post(json.dumps({"text": text}).encode()) for text in texts]
    last = post(BODY, "Connection: close")
    answer = server.send(b"".join(requests) + last)
    numbers = [
        "".join(token["text"] for token in json.loads(part.partition(b"\r\n\r\n")[2])["tokens"])
        for part in answer.split(b"HTTP/1.1 200 OK")[1:-1]
    ]
    assert numbers == [text.replace(" ", "") for text in texts]


def test_jobs_of_disconnected_clients_are_dropped(server: Server) -> None:
    texts = json.dumps({"texts": ["a film " * 50] * 1024}).encode()
    request = head(f"Content-Length: {len(texts)}", path="/classify/batch") + texts
    for sent in (request, request[:-10], request[:100]):
        with socket.create_connection(("127.0.0.1", server.port), TIMEOUT_SECONDS) as connection:
            connection.sendall(sent)
    wait_for(lambda: server.metric("heed_queue_tokens") == 0, server)
    assert server.post({"text": "a film"}).status_code == 200


@pytest.mark.parametrize(
    "sent",
    [
        b"\0\1\2\3\r\n\r\n",
        b"BREW/ HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\xe9 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST /classify HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_malformed_http_is_400(server: Server, sent: bytes) -> None:
    headers = check_error(server.send(sent), 400)
    assert headers["connection"] == "close"


@pytest.mark.parametrize("part", [b"x" * 100, b"Name: value\r\n"], ids=["one header", "many"])
def test_a_head_above_the_limit_is_431(server: Server, part: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), TIMEOUT_SECONDS) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nEndless: ")
        with pytest.raises(OSError, match=r"reset|Broken pipe"):  # noqa: PT012
            for _ in range(400_000 // len(part)):
                connection.sendall(part * 100)
    assert server.get("/healthz").status_code == 200
    large = b"GET / HTTP/1.1\r\nHost: x\r\nLarge: " + b"x" * 70_000
    check_error(server.send(large), 431)
    check_error(server.send(large + b"\r\n\r\n"), 431)
    small = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\nLarge: " + b"x" * 30_000
    assert parse(server.send(small + b"\r\n\r\n"))[0] == 200


def test_idle_connections_do_not_block_requests(server: Server) -> None:
    idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(500)]
    for connection in idle[::2]:
        connection.sendall(b"GET / HTTP/1.1\r\n")
    assert server.post({"text": "a film"}).status_code == 200
    for connection in idle:
        connection.close()


def test_a_connection_stays_open_after_a_429(trained: Path) -> None:
    """A full queue rejects a request before its body is read, and keeps the connection open."""
    body = json.dumps({"texts": ["a film for all who love it " * 9] * 64}).encode()
    middle = len(body) // 2

    def send_often(chunked: bool) -> list[int]:
        statuses = []
        connection = http.client.HTTPConnection("127.0.0.1", full.port, timeout=TIMEOUT_SECONDS)
        for _ in range(15):
            parts = iter([body[:middle], body[middle:]])
            headers = {"Content-Type": "application/json"}
            if not chunked:
                headers["Content-Length"] = str(len(body))
            connection.request("POST", "/classify/batch", parts, headers, encode_chunked=chunked)
            socket_before = connection.sock
            response = connection.getresponse()
            answer = json.loads(response.read())
            statuses.append(response.status)
            assert connection.sock is socket_before, "the server closed the connection"
            if response.status == 429:
                assert (response.headers["Retry-After"], answer["status"]) == ("1", 429)
            else:
                assert len(answer["results"]) == 64
        connection.close()
        return statuses

    with serve(trained, "--max-queue", 1) as full, ThreadPoolExecutor(8) as pool:
        found = pool.map(send_often, [n % 2 == 1 for n in range(8)])
        counts = Counter(status for statuses in found for status in statuses)
        assert set(counts) == {200, 429}
        assert full.metric('heed_refusals_total{kind="queue_full"}') == counts[429]
        assert full.metric("heed_queue_tokens") == 0
