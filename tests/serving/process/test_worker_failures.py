"""Workers that end at start, cannot be replaced or hang, and stalls at shutdown."""

import json
import os
import resource
import signal
import socket
import time
from collections.abc import Generator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest

from heed.service.process.acceptor import drop_new_connections
from tests.support.server import TIMEOUT_SECONDS, Server, serve, wait_for

BODY = json.dumps({"text": "a film", "explain": "none"}).encode()
REQUEST = (
    b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
)


@pytest.fixture
def starting(trained: Path) -> Generator[Server]:
    """A server of one worker that has just been started."""
    server = Server(trained)
    try:
        yield server
    finally:
        server.kill()


def listens(pid: int, port: int) -> bool:
    """Whether a process has a socket that listens on `port`."""
    lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    fields = [line.split() for line in lines]
    # 0A is the state LISTEN, see proc_net_tcp.
    inodes = {f[9] for f in fields if f[1].endswith(f":{port:04X}") and f[3] == "0A"}
    with suppress(FileNotFoundError):
        links = [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()]
        return any(f"socket:[{inode}]" in links for inode in inodes)
    return False


def read_answer(client: socket.socket) -> bytes:
    """Read one response, whose body ends with a brace; stops where the server closes."""
    answer = b""
    while not answer.endswith(b"}") and (part := client.recv(65536)):
        answer += part
    return answer


def test_a_worker_that_is_killed_during_the_first_start_is_replaced(starting: Server) -> None:
    (worker,) = wait_for(starting.workers, starting)
    os.kill(worker, signal.SIGKILL)
    wait_for(lambda: starting.get("/readyz").status_code == 200, starting)
    assert f"worker {worker}: it ended with status -9; a new worker replaces it" in starting.log


@pytest.mark.slow
def test_the_server_ends_if_no_worker_can_start(starting: Server) -> None:
    killed: set[int] = set()
    while starting.process.poll() is None:
        for worker in set(starting.workers()) - killed:
            os.kill(worker, signal.SIGKILL)
            killed.add(worker)
        time.sleep(0.01)
    assert starting.stop() == 1
    assert len(killed) == 4
    assert "no worker can be started, so the server ends" in starting.log


@pytest.mark.slow
def test_the_server_ends_if_the_system_cannot_replace_its_worker(trained: Path) -> None:
    with serve(trained) as server:
        (worker,) = server.workers()
        open_files = len(list(Path(f"/proc/{server.process.pid}/fd").iterdir()))
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (open_files - 2,) * 2)
        os.kill(worker, signal.SIGKILL)
        assert server.process.wait(TIMEOUT_SECONDS) == 1
        assert "cannot be started: Too many open files" in server.log
        with pytest.raises(ConnectionRefusedError), socket.socket() as client:
            client.connect(("127.0.0.1", server.port))


@pytest.mark.slow
def test_a_hung_worker_is_replaced_and_delays_no_metrics(trained: Path) -> None:
    with serve(trained, "--workers", 2, "--timeout", 1) as server:
        hung = server.workers()[0]
        os.kill(hung, signal.SIGSTOP)
        with httpx.Client(timeout=5.0) as client:
            begun = time.monotonic()
            for _ in range(3):
                assert "heed_ready_workers 1.0\n" in client.get(server.url + "/metrics").text
            assert time.monotonic() - begun < 3
        # New connections, as an old one may be that of the worker that is killed.
        wait_for(
            lambda: "heed_ready_workers 2.0\n" in httpx.get(server.url + "/metrics").text, server
        )
        assert hung not in server.workers()
        assert "it did not answer for" in server.log


@pytest.mark.slow
def test_a_stall_after_the_socket_closes_loses_no_request(trained: Path) -> None:
    with serve(trained) as server, ExitStack() as stack:
        (worker,) = server.workers()
        address = "127.0.0.1", server.port
        clients = [
            stack.enter_context(socket.create_connection(address, TIMEOUT_SECONDS))
            for _ in range(20)
        ]
        for client in clients[:10]:  # keep-alive connections; the others have sent nothing yet
            client.sendall(REQUEST)
            assert read_answer(client).startswith(b"HTTP/1.1 200 OK")
        server.process.send_signal(signal.SIGTERM)
        while listens(worker, server.port):
            pass
        os.kill(worker, signal.SIGSTOP)
        for client in clients:
            client.sendall(REQUEST)
        time.sleep(1.5)  # the stall: every timer of the worker has expired
        os.kill(worker, signal.SIGCONT)
        for client in clients:
            answer = read_answer(client)
            assert answer.startswith(b"HTTP/1.1 200 OK")
            assert b"connection: close" in answer
        assert server.stop(0) == 0


@pytest.mark.slow
def test_sigint_does_not_wait_for_drain_seconds(trained: Path) -> None:
    with serve(trained, "--drain-seconds", 1000) as server:
        assert server.stop(signal.SIGINT) == 0


def test_a_socket_that_drops_new_connections_keeps_the_others() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()[:2]) as client,
    ):
        drop_new_connections(listener)
        with pytest.raises(TimeoutError):
            socket.create_connection(listener.getsockname()[:2], timeout=0.2)
        accepted, _ = listener.accept()
        with accepted:
            client.sendall(b"sent")
            assert accepted.recv(4) == b"sent"
