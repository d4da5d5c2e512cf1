"""Start, stop, drain and replacement of processes, with the real command."""

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.command import heed_alone
from tests.support.server import TIMEOUT_SECONDS, Server, serve, wait_for

BODY = {"text": "a film", "explain": "none"}
COUNT = 'heed_requests_total{model="reviews",route="/classify",status="200"}'


def gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return True
    return state == "Z"


@contextmanager
def load(server: Server, callers: int = 4) -> Generator[list[str]]:
    """Send requests all the time, each on a new connection; yield the failures."""
    wrong: list[str] = []
    done = threading.Event()
    body = json.dumps(BODY).encode()
    request = (
        b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        b"Connection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    )

    def ask() -> None:
        while not done.is_set():
            try:
                answer = server.send(request)
            except OSError as error:
                wrong.append(repr(error))
                continue
            if not answer.startswith(b"HTTP/1.1 200 OK"):
                wrong.append(repr(answer[:200]))

    with ThreadPoolExecutor(callers) as pool:
        for _ in range(callers):
            pool.submit(ask)
        try:
            yield wrong
        finally:
            done.set()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_with_status_0(trained: Path, number: signal.Signals) -> None:
    with serve(trained, "--workers", 2) as server:
        workers = server.workers()
        assert len(workers) == 2
        assert server.stop(number) == 0
        assert all(gone(pid) for pid in workers)
        assert "Traceback" not in server.log


def test_accepted_requests_are_answered_after_sigterm(trained: Path) -> None:
    with serve(trained) as server, ThreadPoolExecutor(4) as pool:
        large = {"texts": ["a film " * 100] * 1024}
        answers = [pool.submit(server.post, large, "/classify/batch") for _ in range(2)]
        wait_for(lambda: server.metric("heed_queue_tokens") > 0, server)
        assert server.stop() == 0
        assert [len(answer.result().json()["results"]) for answer in answers] == [1024, 1024]


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_every_connected_client_is_answered_after_sigterm(trained: Path, workers: int) -> None:
    with serve(trained, "--workers", workers) as server:
        with load(server, callers=16) as wrong:
            wait_for(lambda: server.metric(COUNT) > 50, server)
            assert server.stop() == 0
        assert {error.partition("(")[0] for error in wrong} <= {"ConnectionRefusedError"}


@pytest.mark.slow
def test_readyz_is_503_for_drain_seconds_before_the_socket_closes(trained: Path) -> None:
    with serve(trained, "--drain-seconds", 2, "--workers", 2) as server:
        server.process.send_signal(signal.SIGTERM)
        begun = time.monotonic()
        wait_for(lambda: server.get("/readyz").status_code == 503, server)
        assert server.get("/healthz").status_code == 200
        assert server.post(BODY).status_code == 200
        assert server.stop(0) == 0
        assert time.monotonic() - begun > 1.5


def test_a_second_signal_ends_the_server_at_once(trained: Path) -> None:
    with serve(trained, "--drain-seconds", 1000) as server:
        server.process.send_signal(signal.SIGTERM)
        wait_for(lambda: server.get("/readyz").status_code == 503, server)
        assert server.stop() == 1


@pytest.mark.slow
def test_workers_end_with_the_supervisor(trained: Path) -> None:
    with serve(trained, "--workers", 2) as server:
        workers = server.workers()
        server.process.kill()
        wait_for(lambda: all(gone(pid) for pid in workers))


@pytest.mark.slow
def test_a_killed_worker_is_replaced_and_no_other_request_fails(trained: Path) -> None:
    with serve(trained, "--workers", 2) as server:
        first = server.workers()
        with load(server) as wrong:
            wait_for(lambda: server.metric(COUNT) > 20, server)
            victim = first[0]
            os.kill(victim, signal.SIGKILL)
            wait_for(lambda: len(set(server.workers()) - {victim}) == 2, server)
            assert server.get("/readyz").status_code == 200
            wait_for(lambda: server.metric("heed_ready_workers") == 2, server)
        # Only requests that the killed worker was answering may fail: one of each caller.
        assert len(wrong) <= 4, wrong
        assert server.get("/readyz").status_code == 200
        assert "a new worker replaces it" in server.log
        assert server.stop() == 0


@pytest.mark.slow
def test_metrics_of_workers_are_added_up_and_never_decrease(trained: Path) -> None:
    with serve(trained, "--workers", 2) as server:
        for _ in range(40):
            with httpx.Client() as client:  # a new connection: either worker
                assert client.post(server.url + "/classify", json=BODY).status_code == 200
        assert server.metric(COUNT) == 40
        assert server.metric('heed_stage_seconds_count{stage="inference"}') == 40
        with ThreadPoolExecutor(4) as pool:  # scrapes that overlap
            ready = pool.map(lambda _: server.metric("heed_ready_workers"), range(100))
            assert set(ready) == {2}
        first = server.workers()
        os.kill(first[1], signal.SIGSTOP)
        slow = httpx.get(
            server.url + "/metrics", timeout=TIMEOUT_SECONDS
        )  # the other worker answers
        assert f"{COUNT} 40.0\n" in slow.text
        assert "heed_ready_workers 1.0\n" in slow.text
        os.kill(first[1], signal.SIGKILL)
        wait_for(lambda: len(server.workers()) == 2 and server.workers() != first, server)
        assert server.metric(COUNT) == 40
        wait_for(lambda: server.metric("heed_ready_workers") == 2, server)


def test_the_server_works_after_a_passed_deadline(trained: Path) -> None:
    with serve(trained, "--timeout", 0.05) as server:
        # The body is there in a few milliseconds, its answer takes several times the deadline.
        large = {"texts": ["a film " * 100] * 1024, "explain": "contributions"}
        assert server.post(large, "/classify/batch").status_code == 504
        wait_for(lambda: server.metric("heed_queue_tokens") == 0, server)
        assert server.get("/readyz").status_code == 200
        assert server.process.poll() is None


def test_a_port_in_use_ends_the_command(trained: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = heed_alone("serve", "--bundles", trained, "--port", port, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert f"127.0.0.1 port {port}" in done.stderr


@pytest.mark.slow
def test_a_port_taken_between_bind_and_listen_ends_the_command(trained: Path) -> None:
    """Two servers may bind one port, but only one can listen."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        server = Server(trained, "--port", port, "--workers", 2)
        try:
            wait_for(server.workers, server)  # the port is bound, and the workers still load
            other.listen()
            assert server.process.wait(TIMEOUT_SECONDS) == 2
        finally:
            server.kill()
    assert server.log.startswith(f"heed: cannot listen on 127.0.0.1 port {port}: ")
    assert server.log.count("\n") == 1, server.log


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 3])
def test_a_rejected_bundle_ends_the_command_before_the_socket_opens(
    trained: Path, tmp_path: Path, workers: int
) -> None:
    bundle = tmp_path / "damaged"
    bundle.mkdir()
    for file in trained.iterdir():
        (bundle / file.name).write_bytes(file.read_bytes())
    with (bundle / "model.onnx").open("ab") as model:
        model.write(b"x")
    done = heed_alone("serve", "--bundles", bundle, "--port", 0, "--workers", workers, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("heed: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert "model.onnx: its SHA-256 is not the one" in done.stderr


Refusal = tuple[list[object], dict[str, str], str]
REFUSALS: list[Refusal] = [
    (["--bundles", "/nowhere"], {}, "/nowhere: no such folder"),
    (["--default-model", "unknown"], {}, "--default-model unknown: no such bundle"),
    (["--api-keys-file", "/nowhere"], {}, "--api-keys-file /nowhere: cannot be read"),
    (["--host", "no.such.host.invalid"], {}, "cannot listen on no.such.host.invalid"),
    (["--host", "a..b"], {}, "--host 'a..b': not a valid host name"),
    (["--port", "http"], {}, "--port: 'http' cannot be used"),
    ([], {"HEED_TIMEOUT": "soon"}, "HEED_TIMEOUT: 'soon' cannot be used"),
    (["--nonsense"], {}, "--nonsense"),
]


@pytest.mark.parametrize(("flags", "environment", "message"), REFUSALS)
def test_an_unusable_option_is_one_line_on_stderr(
    trained: Path,
    monkeypatch: pytest.MonkeyPatch,
    flags: list[object],
    environment: dict[str, str],
    message: str,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    done = heed_alone("serve", "--port", 0, "--bundles", trained, *flags, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert message in done.stderr


def test_a_flag_overrides_the_environment(trained: Path) -> None:
    with serve(trained, "--max-texts", 3, HEED_MAX_TEXTS="2", HEED_MAX_BODY="100") as server:
        three = {"texts": ["a"] * 3}
        assert server.post(three, "/classify/batch").status_code == 200
        assert server.post({"texts": ["a"] * 4}, "/classify/batch").status_code == 413
        assert server.post({"text": "a" * 100}).status_code == 413
