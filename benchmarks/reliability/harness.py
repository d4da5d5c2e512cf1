"""Shared parts of the programs: a server of their own, an HTTP client, statistics and the output.

Standard library only. A server listens on 127.0.0.1 and ends with the program that started it.
"""

import argparse
import asyncio
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
MEGABYTE = 1 << 20
START_TIMEOUT = 120.0
STOP_TIMEOUT = 60.0
ANSWER_TIMEOUT = 60.0
MAX_ANSWER_BYTES = 1 << 26


class Refused(Exception):
    """The server did not accept a connection."""


class Lost(Exception):
    """The server accepted a connection and a request, but sent no complete answer."""


@dataclass(frozen=True)
class Goal:
    """One goal of a program and the figure that it is compared with."""

    name: str
    measured: object
    limit: str
    met: bool


def at_most(name: str, measured: float | None, limit: float) -> Goal:
    """A goal that `measured` does not exceed `limit`. None counts as missed."""
    return Goal(name, measured, f"<= {limit:g}", measured is not None and measured <= limit)


def at_least(name: str, measured: float | None, limit: float) -> Goal:
    """A goal that `measured` is not below `limit`. None counts as missed."""
    return Goal(name, measured, f">= {limit:g}", measured is not None and measured >= limit)


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """Options of every program; the description is the first line of its docstring."""
    parser = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    parser.add_argument(
        "--heed", default=f"{shlex.quote(sys.executable)} -m heed", help="command of the server"
    )
    parser.add_argument("--bundles", type=Path, default=ROOT / "bundles")
    parser.add_argument("--log", type=Path, help="file that gets the log of the server")
    parser.add_argument("--quick", action="store_true", help="about a tenth of the work")
    return parser


def parse_options(parser: argparse.ArgumentParser, **quick: object) -> argparse.Namespace:
    """Read the command line; with `--quick`, the values in `quick` are the defaults."""
    if "--quick" in sys.argv[1:]:
        parser.set_defaults(**quick)
    return parser.parse_args()


def finish(program: str, goals: Sequence[Goal], **figures: object) -> None:
    """Print one JSON line and exit: status 0 if every goal is met, else 1."""
    line = {"program": program, **figures, "goals": [asdict(goal) for goal in goals]}
    print(json.dumps(line), flush=True)
    raise SystemExit(0 if all(goal.met for goal in goals) else 1)


def give_up(reason: str) -> NoReturn:
    """Print the reason and exit with status 2: nothing was measured."""
    print(reason, file=sys.stderr)
    raise SystemExit(2)


class Server:
    """A running `heed serve`, ready to answer. A context manager that stops it at the end."""

    def __init__(
        self,
        options: argparse.Namespace,
        *flags: object,
        bundles: Path | None = None,
        root: Path = ROOT,
    ) -> None:
        """Start the server and wait until `/readyz` answers 200.

        Args:
            options: the options of the program.
            flags: more arguments of `heed serve`.
            bundles: another folder than `--bundles`.
            root: checkout whose code serves.

        Exits with status 2 if the server ends or is not ready within `START_TIMEOUT` seconds.
        """
        self.port = _free_port()
        command = [
            *shlex.split(options.heed),
            "serve",
            "--bundles",
            str(bundles or options.bundles),
        ]
        command += ["--port", str(self.port), *map(str, flags)]
        self._log = (
            options.log.open("a+b") if options.log else tempfile.TemporaryFile()  # noqa: SIM115
        )
        # Standard input is no terminal, so SIGHUP means reload.
        self.process = subprocess.Popen(
            command,
            cwd=root,
            env=os.environ | {"PYTHONPATH": str(root)},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        self.pid = self.process.pid
        try:
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        self._log.close()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                give_up(
                    f"the server ended with status {self.process.returncode}: {self.log()[-1000:]}"
                )
            if fetch(self.port, "/readyz")[0] == 200:
                return
            time.sleep(0.05)
        give_up(f"the server is not ready after {START_TIMEOUT:g} s: {self.log()[-1000:]}")

    @property
    def running(self) -> bool:
        """True until the supervisor has ended."""
        return self.process.poll() is None

    def log(self) -> str:
        """Everything that the server has written to its log."""
        return os.pread(self._log.fileno(), 1 << 24, 0).decode(errors="replace")

    def workers(self) -> list[int]:
        """Process ids of the workers, which are the children of the supervisor."""
        children: list[int] = []
        for tasks in Path(f"/proc/{self.pid}/task").glob("*/children"):
            with suppress(OSError):
                children += map(int, tasks.read_text(encoding="ascii").split())
        return children

    def usage(self) -> dict[str, int]:
        """Resident bytes, open descriptors and threads of the supervisor and its workers."""
        total = {"rss": 0, "descriptors": 0, "threads": 0}
        for pid in (self.pid, *self.workers()):
            process = Path(f"/proc/{pid}")
            with suppress(OSError):  # the process may have ended
                total["rss"] += resident_bytes(pid)
                total["descriptors"] += len(list((process / "fd").iterdir()))
                total["threads"] += len(list((process / "task").iterdir()))
        return total

    def processor_seconds(self) -> float:
        """Processor time of the workers so far. Other load on the machine does not change it."""
        ticks = 0
        for pid in self.workers():
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
            fields = stat.rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])  # utime and stime, see proc(5)
        return ticks / os.sysconf("SC_CLK_TCK")

    def metric(self, name: str) -> float:
        """Sum of the samples of a metric whose name, with labels, starts with `name`."""
        lines = fetch(self.port, "/metrics", timeout=10)[1].decode().splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))

    def stop(self) -> int:
        """Send SIGTERM, then SIGKILL if that has no effect; return the exit status."""
        if self.running:
            self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            return self.process.wait(STOP_TIMEOUT)
        for pid in (*self.workers(), self.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return self.process.wait()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port


def resident_bytes(pid: int) -> int:
    """Resident memory of a process."""
    pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def make_request(
    path: str, body: bytes = b"", method: str = "POST", headers: Mapping[str, str] | None = None
) -> bytes:
    """The bytes of an HTTP/1.1 request with a JSON body."""
    fields = {"host": "localhost", "content-length": str(len(body)), **(headers or {})}
    if body:
        fields.setdefault("content-type", "application/json")
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def single(text: str, **options: object) -> bytes:
    """A request to classify one text."""
    return make_request("/classify", json.dumps({"text": text, **options}).encode())


def batch(texts: Sequence[str], **options: object) -> bytes:
    """A request to classify several texts."""
    return make_request("/classify/batch", json.dumps({"texts": [*texts], **options}).encode())


def fetch(port: int, path: str, body: bytes = b"", timeout: float = 5) -> tuple[int, bytes]:
    """Status and body of one blocking request on a new connection; status 0 without an answer."""
    method = "POST" if body else "GET"
    message = make_request(path, body, method, {"connection": "close"})
    received = bytearray()
    try:
        with socket.create_connection((HOST, port), timeout) as connection:
            connection.sendall(message)
            while part := connection.recv(65536):
                received += part
    except OSError:
        return 0, b""
    head, _, content = bytes(received).partition(b"\r\n\r\n")
    return (int(head[9:12]) if head else 0), content


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; `closes` is true if the server closes the connection after it."""

    status: int
    closes: bool
    body: bytes


class Client:
    """One connection to the server."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.requests = 0
        self.last_used = time.monotonic()

    @classmethod
    async def connect(cls, port: int) -> Self:
        """Open a connection; raises `Refused`."""
        try:
            return cls(*await asyncio.open_connection(HOST, port, limit=MAX_ANSWER_BYTES))
        except OSError as error:
            raise Refused from error

    async def ask(self, message: bytes) -> Answer:
        """Send a request and return its answer; raises `Lost`."""
        self.requests += 1
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                self.writer.write(message)
                head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
                body = await self.reader.readexactly(length)
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            raise Lost from error
        self.last_used = time.monotonic()
        return Answer(int(head[9:12]), b"connection: close" in head, body)

    def close(self) -> None:
        """Close the connection."""
        self.writer.close()


def percentile(values: Collection[float], share: float) -> float | None:
    """The value below which `share` of all values lie; None if there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None


def milliseconds(seconds: Collection[float]) -> dict[str, float | None]:
    """Median, 99th percentile and maximum, in milliseconds."""
    found = {
        "p50": percentile(seconds, 0.5),
        "p99": percentile(seconds, 0.99),
        "max": max(seconds, default=None),
    }
    return {
        name: None if value is None else round(1000 * value, 1) for name, value in found.items()
    }


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Slope of the least-squares line through (x, y) points."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    covariance = sum((x - mean_x) * (y - mean_y) for x, y in points)
    variance = sum((x - mean_x) ** 2 for x, _ in points)
    return covariance / variance if variance else 0.0
