"""Load that does not wait: requests leave at fixed times, whatever became of those before.

wrk asks again only when it has been answered, so a slow server is asked less, and its delays are
not counted as often as people would feel them. Here latency counts from the time at which a request
was due.

`python -m benchmarks.openloop URL BODIES RATE SECONDS` prints [status, due, latency] of each.
"""

import asyncio
import gc
import json
import sys
import time
from itertools import cycle
from pathlib import Path
from urllib.parse import urlsplit

LATE = 35.0
"""Seconds after which an answer counts as lost, status 0."""
Answer = tuple[int, float, float]


class Generator:
    """Keeps connections and asks on a free one, or a new one."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._address = parts.hostname, parts.port
        self._head = (
            f"POST {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        )
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def run(self, bodies: list[bytes], rate: float, seconds: float) -> list[Answer]:
        """Send `rate` a second, evenly, for `seconds`; wait for all answers."""
        sources = cycle(bodies)
        start = time.perf_counter() + 0.1
        tasks = []
        for number in range(round(rate * seconds)):
            due = start + number / rate
            await asyncio.sleep(due - time.perf_counter())
            tasks.append(asyncio.create_task(self._ask(next(sources), due, start)))
        return list(await asyncio.gather(*tasks))

    async def _ask(self, body: bytes, due: float, start: float) -> Answer:
        try:
            async with asyncio.timeout(LATE):
                status = await self._exchange(body)
        except (OSError, TimeoutError, EOFError):
            status = 0
        return status, due - start, time.perf_counter() - due

    async def _exchange(self, body: bytes) -> int:
        while self._free and self._free[-1][0].at_eof():  # the server closed it meanwhile
            self._free.pop()[1].close()
        reader, writer = (
            self._free.pop() if self._free else await asyncio.open_connection(*self._address)
        )
        writer.write((self._head % len(body)).encode() + body)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        if b"connection: close" in head:
            writer.close()
        else:
            self._free.append((reader, writer))
        return int(head.split()[1])


def main() -> None:
    """Load a server and print what came of it."""
    url, file, rate, seconds = sys.argv[1:]
    bodies = Path(file).read_bytes().splitlines()
    gc.disable()  # its pauses would be told as the server's
    # asyncio's own loop, since uvloop's timers go by whole milliseconds.
    answers = asyncio.run(Generator(url).run(bodies, float(rate), float(seconds)))
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
