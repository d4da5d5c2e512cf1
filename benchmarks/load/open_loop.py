"""Open-loop load: requests leave at fixed times, whether or not earlier ones were answered.

wrk sends the next request only after an answer, so it sends less to a slow server and counts long
delays too rarely. Here the latency of a request counts from the time at which it was due.

`python -m benchmarks.load.open_loop URL BODIES RATE SECONDS` prints [status, due, latency] of each.
"""

import asyncio
import gc
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.load.server import LOAD_CORE, ROOT

TIMEOUT = 35.0
"""Seconds after which a request counts as lost, with status 0."""
Answer = tuple[int, float, float]
"""Status, seconds from the start until the request was due, latency in seconds."""


def open_loop(url: str, bodies: Sequence[str], rate: float, seconds: float) -> list[Answer]:
    """Send `rate` requests a second from a process on the load's core; return every answer."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:
        file.write("\n".join(bodies))
        file.flush()
        command = ["taskset", "-c", LOAD_CORE, sys.executable, "-m", "benchmarks.load.open_loop"]
        command += [url, file.name, str(rate), str(seconds)]
        done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return [(status, due, latency) for status, due, latency in json.loads(done.stdout)]


def latency_percentile(answers: Sequence[Answer], percent: int) -> float:
    """Return a percentile of the latencies in seconds; 0 without answers."""
    latencies = [latency for _, _, latency in answers]
    if len(latencies) < 2:
        return sum(latencies)
    return statistics.quantiles(latencies, n=100, method="inclusive")[percent - 1]


class LoadGenerator:
    """Sends each request over an idle connection, or over a new one."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._address = parts.hostname, parts.port
        self._head = (
            f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        )
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def run(self, bodies: list[bytes], rate: float, seconds: float) -> list[Answer]:
        """Send `rate` requests a second, evenly spaced, for `seconds`, and wait for all answers."""
        next_bodies = cycle(bodies)
        start = time.perf_counter() + 0.1
        tasks = []
        for number in range(round(rate * seconds)):
            due = start + number / rate
            await asyncio.sleep(due - time.perf_counter())
            tasks.append(asyncio.create_task(self._send(next(next_bodies), due, start)))
        return list(await asyncio.gather(*tasks))

    async def _send(self, body: bytes, due: float, start: float) -> Answer:
        try:
            async with asyncio.timeout(TIMEOUT):
                status = await self._request(body)
        except (OSError, TimeoutError, EOFError):
            status = 0
        return status, due - start, time.perf_counter() - due

    async def _request(self, body: bytes) -> int:
        while self._idle and self._idle[-1][0].at_eof():  # closed by the server
            self._idle.pop()[1].close()
        reader, writer = (
            self._idle.pop() if self._idle else await asyncio.open_connection(*self._address)
        )
        writer.write((self._head % len(body)).encode() + body)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        if b"connection: close" in head:
            writer.close()
        else:
            self._idle.append((reader, writer))
        return int(head.split()[1])


def main() -> None:
    """Send the load and print every answer."""
    url, file, rate, seconds = sys.argv[1:]
    bodies = Path(file).read_bytes().splitlines()
    gc.disable()  # its pauses would count as the server's
    # asyncio's own loop, because uvloop rounds its timers to milliseconds.
    answers = asyncio.run(LoadGenerator(url).run(bodies, float(rate), float(seconds)))
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
