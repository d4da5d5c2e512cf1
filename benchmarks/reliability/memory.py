"""Measure a worker's memory beside clients that do not read or do not finish sending.

`--unfinished` clients send a large body except its last byte. `--unread` clients ask for an answer
of several megabytes and do not read it. `--heads` clients send part of a long request head. All
keep their connections for `--seconds`. Then the server gets SIGTERM while they are still connected.
"""

import argparse
import asyncio
import json
import random
import socket
import time
from collections import Counter

from benchmarks.reliability.harness import (
    HOST,
    MEGABYTE,
    Server,
    at_most,
    fetch,
    finish,
    make_parser,
    make_request,
    parse_options,
    resident_bytes,
)

BASE_MEGABYTES = 20
CONNECTION_KILOBYTES = 20
RECEIVE_BUFFER = 4096
BATCH = {"texts": ["a b c d e f g h " * 32] * 200, "explain": "contributions"}
"""Its answer has more than 4 MB."""


class Group:
    """Connections that stay open, with the largest resident memory seen meanwhile."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._worker = server.workers()[0]
        self.connections: list[socket.socket] = []
        self.before = resident_bytes(self._worker)
        self.maximum = self.before
        self.outcomes: Counter[str] = Counter()

    def sample(self) -> None:
        """Record the memory of the worker."""
        self.maximum = max(self.maximum, resident_bytes(self._worker))

    async def open(self, message: bytes) -> None:
        """Connect and send; the answer stays unread."""
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(60):
                await loop.sock_connect(connection, (HOST, self._server.port))
                await loop.sock_sendall(connection, message)
        except (OSError, TimeoutError) as error:
            self.outcomes[type(error).__name__] += 1
        self.connections.append(connection)
        self.sample()

    async def hold(self, seconds: float) -> None:
        """Keep the connections open and watch the memory."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.sample()
            await asyncio.sleep(0.2)

    def close(self) -> None:
        """Count what became of the connections and close them."""
        for connection in self.connections:
            try:
                part = connection.recv(16)
                self.outcomes[part[9:12].decode() if part else "closed"] += 1
            except BlockingIOError:
                self.outcomes["waiting"] += 1
            except OSError as error:
                self.outcomes[type(error).__name__] += 1
            connection.close()

    def figures(self) -> dict[str, object]:
        """The group as JSON values."""
        return {
            "connections": len(self.connections),
            "growth_mb": round((self.maximum - self.before) / MEGABYTE, 1),
            "outcomes": dict(self.outcomes),
        }

    def limit(self, inflight: int) -> float:
        """Megabytes that the worker may grow by."""
        megabytes = inflight / MEGABYTE + BASE_MEGABYTES
        return round(megabytes + len(self.connections) * CONNECTION_KILOBYTES / 1024, 1)


async def send_unfinished(server: Server, options: argparse.Namespace) -> Group:
    """Bodies of almost `--max-body` bytes without their last byte."""
    text = "".join(random.choices("abcdefgh ", k=1_900_000))
    message = make_request("/classify", json.dumps({"text": text}).encode())[:-1]
    group = Group(server)
    await asyncio.gather(*(group.open(message) for _ in range(options.unfinished)))
    await group.hold(options.seconds)
    return group


async def send_heads(server: Server, options: argparse.Namespace) -> Group:
    """Request heads of 60 KB without their end."""
    lines = "".join(f"x-{number}: {'v' * 100}\r\n" for number in range(550))
    message = f"GET /healthz HTTP/1.1\r\nhost: localhost\r\n{lines}".encode()
    group = Group(server)
    await asyncio.gather(*(group.open(message) for _ in range(options.heads)))
    await group.hold(options.seconds)
    return group


async def leave_unread(server: Server, options: argparse.Namespace) -> Group:
    """Large answers that nobody reads, requested one after another."""
    message = make_request("/classify/batch", json.dumps(BATCH).encode())
    group = Group(server)
    for _ in range(options.unread):
        await group.open(message)
        await group.hold(options.gap)
    await group.hold(options.seconds)
    return group


def main() -> None:
    """Measure each group and print the figures."""
    parser = make_parser(__doc__)
    parser.add_argument("--unfinished", type=int, default=200, help="clients")
    parser.add_argument("--heads", type=int, default=500, help="clients")
    parser.add_argument("--unread", type=int, default=100, help="clients")
    parser.add_argument("--gap", type=float, default=1.0, help="seconds between unread answers")
    parser.add_argument("--seconds", type=float, default=35, help="that each group is held")
    parser.add_argument(
        "--inflight", type=int, default=64 * MEGABYTE, help="the server's --max-inflight-bytes"
    )
    options = parse_options(parser, unfinished=100, heads=200, unread=40, gap=0.5, seconds=5.0)
    figures: dict[str, object] = {}
    goals = []
    for name, start in (
        ("unfinished", send_unfinished),
        ("heads", send_heads),
        ("unread", leave_unread),
    ):
        with Server(options) as server:
            answer = fetch(server.port, "/classify/batch", json.dumps(BATCH).encode(), timeout=60)
            group = asyncio.run(start(server, options))
            started = time.monotonic()
            server.stop()
            group.close()
        growth = group.figures()["growth_mb"]
        assert isinstance(growth, float)
        goals.append(at_most(f"{name}: growth, MB", growth, group.limit(options.inflight)))
        figures[name] = {
            **group.figures(),
            "answer_mb": round(len(answer[1]) / MEGABYTE, 1),
            "seconds_to_exit": round(time.monotonic() - started, 1),
        }
    finish("memory", goals, seconds=options.seconds, **figures)


if __name__ == "__main__":
    main()
