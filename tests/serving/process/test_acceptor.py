"""Workers share the connections fairly."""

import json
import os
import resource
import signal
import socket
import statistics
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.server import TIMEOUT_SECONDS, Server, serve, wait_for

BODY = json.dumps({"text": "a film", "explain": "none"}).encode()
REQUEST = (
    b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
)


@pytest.fixture(scope="module")
def two(trained: Path) -> Generator[Server]:
    """A server of two workers."""
    with serve(trained, "--workers", 2) as running:
        running.get("/readyz")
        yield running


def sockets(pid: int) -> int:
    """The number of open sockets of a process."""
    found = 0
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found += str(entry.readlink()).startswith("socket:")
        except FileNotFoundError:  # closed in the meantime
            continue
    return found


def connect(server: Server, number: int, stack: ExitStack) -> list[socket.socket]:
    """Open connections at the same time and keep them open."""
    address = "127.0.0.1", server.port
    return [
        stack.enter_context(socket.create_connection(address, TIMEOUT_SECONDS))
        for _ in range(number)
    ]


def ask(connection: socket.socket) -> bytes:
    connection.sendall(REQUEST)
    return connection.recv(65536)


@pytest.mark.slow
def test_keep_alive_connections_are_shared_fairly(two: Server) -> None:
    workers = two.workers()
    before = [sockets(pid) for pid in workers]
    fewest = []
    for _ in range(5):
        with ExitStack() as stack:
            for connection in connect(two, 12, stack):
                assert ask(connection).startswith(b"HTTP/1.1 200 OK")
            shares = [sockets(pid) - had for pid, had in zip(workers, before, strict=True)]
        fewest.append(min(shares))
        wait_for(lambda: all(sockets(pid) <= had for pid, had in zip(workers, before, strict=True)))
    assert statistics.median(fewest) >= 4  # six each, but a busy worker may be late


@pytest.mark.slow
def test_connections_do_not_wait_for_a_stopped_worker(two: Server) -> None:
    victim = two.workers()[0]
    os.kill(victim, signal.SIGSTOP)
    try:
        with ExitStack() as stack:
            for connection in connect(two, 12, stack):
                assert ask(connection).startswith(b"HTTP/1.1 200 OK")
    finally:
        os.kill(victim, signal.SIGCONT)


def test_connections_wait_while_no_file_descriptor_is_free(trained: Path) -> None:
    with serve(trained) as server, ExitStack() as stack:
        (worker,) = server.workers()
        limit = len(list(Path(f"/proc/{worker}/fd").iterdir())) + 8
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (limit, limit))
        kept = connect(server, 30, stack)
        assert ask(kept[0]).startswith(b"HTTP/1.1 200 OK")
        wait_for(lambda: "cannot accept a connection: Too many open files" in server.log, server)
        for connection in kept[:25]:
            connection.close()
        assert ask(kept[-1]).startswith(b"HTTP/1.1 200 OK")
