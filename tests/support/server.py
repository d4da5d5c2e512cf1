"""Start the real server in a process of its own, and always end it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx

from tests.support.command import ROOT

T = TypeVar("T")
TIMEOUT_SECONDS = 60.0


class Server:
    """A running `heed serve`."""

    def __init__(
        self, bundles: Path, *flags: object, folder: Path = ROOT, **environment: str
    ) -> None:
        command = [sys.executable, "-m", "heed", "serve", "--bundles", bundles, "--port", 0, *flags]
        self.process = subprocess.Popen(
            [str(part) for part in command],
            cwd=folder,
            env=os.environ | environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._client = httpx.Client(
            timeout=TIMEOUT_SECONDS, limits=httpx.Limits(max_connections=None)
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def log(self) -> str:
        """Its output on stderr."""
        return "".join(self.lines)

    @property
    def url(self) -> str:
        """The URL that its log reports; waits for it."""
        return wait_for(self._find_url, self)

    @property
    def port(self) -> int:
        return int(self.url.rsplit(":", 1)[1])

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self._client.request(method, self.url + path, **options)

    def post(self, body: Any, path: str = "/classify", **options: Any) -> httpx.Response:
        """Post `body` as JSON; bytes and strings are sent unchanged."""
        if not isinstance(body, bytes | str):
            body = json.dumps(body)
        options = {"headers": {"Content-Type": "application/json"}} | options
        return self.request("POST", path, content=body, **options)

    def get(self, path: str) -> httpx.Response:
        return self.request("GET", path)

    def metric(self, name: str) -> float:
        """Return one sample of /metrics, by its name with labels."""
        for line in self.get("/metrics").text.splitlines():
            if line.startswith(name + " "):
                return float(line.split()[-1])
        return 0.0

    def workers(self) -> list[int]:
        """The process ids of its workers."""
        pid = self.process.pid
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]

    def send(self, data: bytes, *, until: bytes | None = None) -> bytes:
        """Send raw bytes on a new connection and return what comes back.

        Reads until the server closes the connection, or until it sent `until`.
        """
        with socket.create_connection(("127.0.0.1", self.port), TIMEOUT_SECONDS) as connection:
            connection.sendall(data)
            answer = b""
            while until is None or until not in answer:
                part = connection.recv(65536)
                if not part:
                    break
                answer += part
            return answer

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Signal it, unless it has ended, and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(TIMEOUT_SECONDS)
        self._reader.join(TIMEOUT_SECONDS)
        return status

    def kill(self) -> None:
        """Kill it, whatever its state."""
        self._client.close()
        self.process.kill()
        self.process.wait()
        self._reader.join(TIMEOUT_SECONDS)  # ends when the last worker has closed stderr
        assert self.process.stderr is not None
        self.process.stderr.close()

    def _read(self) -> None:
        assert self.process.stderr is not None
        self.lines.extend(self.process.stderr)

    def _find_url(self) -> str | None:
        found = re.search(r"listening on (http://[^\s\"]+)", self.log)
        return found and found[1]


@contextmanager
def serve(
    bundles: Path, *flags: object, folder: Path = ROOT, **environment: str
) -> Generator[Server]:
    """A server that is ready."""
    server = Server(bundles, *flags, folder=folder, **environment)
    try:
        wait_for(lambda: server.get("/readyz").status_code == 200, server)
        yield server
    finally:
        server.kill()


def wait_for(condition: Callable[[], T | None], server: Server | None = None) -> T:
    """Call `condition` until its result is true and return that; fail after a minute."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        if value := condition():
            return value
        assert server is None or server.process.poll() is None, server.log
        time.sleep(0.01)
    raise AssertionError(f"waited too long; the log says: {server.log if server else ''}")
