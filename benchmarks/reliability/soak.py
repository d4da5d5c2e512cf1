"""Run mixed traffic for a long time and check memory, descriptors, threads and every answer.

Callers send single requests and batches whose answers are known. Others cause ten kinds of
incident, named in `INCIDENTS`. The slope of the memory is that of a straight line through the
samples of the last two thirds of the time.
"""

import argparse
import asyncio
import json
import math
import random
import string
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from benchmarks.reliability.harness import (
    MEGABYTE,
    Client,
    Goal,
    Lost,
    Refused,
    Server,
    at_most,
    batch,
    fetch,
    finish,
    make_parser,
    make_request,
    parse_options,
    single,
    slope,
)

TOLERANCE = 2e-5
"""An answer in a batch differs from the answer alone by at most 1e-5."""
MAX_HOLD_SECONDS = 40.0
"""How long an incident keeps its connection."""
MAX_KILOBYTES_AN_HOUR = 1024.0
MIN_SECONDS_FOR_SLOPE = 1800
MAX_SHORT_GROWTH_KILOBYTES = 4096
"""Limit of a shorter run, in which the caches of the allocator still grow."""
CALLERS = 6


@dataclass(frozen=True)
class Known:
    """A request and the body of its answer on an idle server."""

    message: bytes
    answer: bytes


def make_words(choice: random.Random, maximum: int) -> str:
    """Between one and `maximum` words of random letters."""
    return " ".join(
        "".join(choice.choices(string.ascii_lowercase, k=choice.randint(1, 9)))
        for _ in range(choice.randint(1, maximum))
    )


def make_message(choice: random.Random) -> bytes:
    """A valid request: a single text or, one time in five, a batch."""
    options = {
        "explain": choice.choice(["none", "attention", "contributions"]),
        "unit": choice.choice(["token", "word"]),
    }
    if choice.random() < 0.8:
        return single(make_words(choice, choice.choice([8, 60, 700])), **options)
    texts = [make_words(choice, 40) for _ in range(choice.randint(1, 40))]
    return batch(texts, **options)


def same(left: Any, right: Any) -> bool:
    """True if two JSON values are equal, numbers within `TOLERANCE`."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, float) and isinstance(right, int | float):
        return math.isclose(left, right, rel_tol=0, abs_tol=TOLERANCE)
    return bool(left == right)


async def malformed(client: Client) -> None:
    """Send requests that the server must reject."""
    long_batch = batch(["a"] * 1025)
    for message in (
        make_request("/classify", b'{"text": "a'),
        make_request("/classify", b'{"text": 5}'),
        single(" "),
        single("a", model="unknown"),
        single("a", unknown=1),
        make_request("/unknown", method="GET"),
        make_request("/classify", method="GET"),
        long_batch,
        b"three words here\r\n\r\n",
    ):
        answer = await client.ask(message)
        if not 400 <= answer.status < 500:
            raise AssertionError(f"{answer.status} for a request that is not valid")
        if answer.closes:
            return


async def oversized(client: Client) -> None:
    """Announce a body above `--max-body` and send some of it."""
    head = make_request("/classify", headers={"content-length": "100000000"})
    await client.ask(head.replace(b"\r\n\r\n", b"\r\ncontent-type: application/json\r\n\r\n", 1))


async def leave_early(client: Client) -> None:
    """Send two requests and reset the connection before the answers are complete."""
    client.writer.write(batch([make_words(random.Random(), 200) for _ in range(200)]))
    client.writer.write(single("Another request on the same connection."))
    await asyncio.sleep(random.random() * 0.3)
    client.writer.transport.abort()


async def unfinished_body(client: Client) -> None:
    """Send part of a request and wait."""
    message = make_message(random.Random())
    client.writer.write(message[: random.randint(1, len(message) - 1)])
    await asyncio.sleep(random.random() * MAX_HOLD_SECONDS)


async def half_close(client: Client) -> None:
    """Close the sending direction before the answer."""
    client.writer.write(make_message(random.Random()))
    client.writer.write_eof()
    await asyncio.wait_for(client.reader.read(), 60)


async def silent(client: Client) -> None:
    """Send nothing and wait until the server closes the connection."""
    with suppress(TimeoutError):
        await asyncio.wait_for(client.reader.read(), random.random() * MAX_HOLD_SECONDS)


async def slow_sender(client: Client) -> None:
    """Send a request in twenty parts."""
    message = single("A slow but complete request. " * 20)
    size = math.ceil(len(message) / 20)
    for start in range(0, len(message), size):
        client.writer.write(message[start : start + size])
        await asyncio.sleep(random.random() * 0.2)
    await client.ask(b"")


async def slow_reader(client: Client) -> None:
    """Ask for a large answer and do not read it."""
    client.reader._transport.pause_reading()  # type: ignore[attr-defined]
    client.writer.write(batch(["a b c d e f g h " * 20] * 100, explain="contributions"))
    await asyncio.sleep(random.random() * MAX_HOLD_SECONDS)


async def pipelined(client: Client) -> None:
    """Send ten requests before reading the first answer."""
    client.writer.write(single("One of ten requests.") * 9)
    for _ in range(9):
        await client.ask(b"")
    await client.ask(single("The last request."))


async def scrape(client: Client) -> None:
    """Read the metrics and the pages."""
    for path in ("/metrics", "/", "/docs", "/openapi.json", "/models", "/healthz"):
        await client.ask(make_request(path, method="GET"))


INCIDENTS: dict[Callable[[Client], Awaitable[None]], tuple[int, float]] = {
    malformed: (3, 0.1),
    oversized: (1, 0.5),
    leave_early: (1, 1.0),
    unfinished_body: (20, 1.0),
    half_close: (2, 0.2),
    silent: (20, 1.0),
    slow_sender: (5, 0.5),
    slow_reader: (5, 1.0),
    pipelined: (1, 0.5),
    scrape: (1, 2.0),
}
"""Ten kinds of incident, each with its number of clients and their maximum pause in seconds."""


async def cause(
    incident: Callable[[Client], Awaitable[None]],
    pause: float,
    port: int,
    end: float,
    counts: Counter[str],
) -> None:
    """Repeat an incident until `end`."""
    while time.monotonic() < end:
        name = incident.__name__
        try:
            client = await Client.connect(port)
        except Refused:
            counts[f"{name}: refused"] += 1
            await asyncio.sleep(pause)
            continue
        try:
            await incident(client)
            counts[name] += 1
        except (Lost, OSError, TimeoutError):
            counts[f"{name}: connection ended"] += 1
        except AssertionError as error:
            counts[f"{name}: {error}"] += 1
        finally:
            with suppress(OSError):
                client.close()
        await asyncio.sleep(random.random() * pause)


async def call(port: int, known: Sequence[Known], end: float, counts: Counter[str]) -> None:
    """Send known requests until `end` and compare their answers."""
    while time.monotonic() < end:
        try:
            client = await Client.connect(port)
            for _ in range(random.randint(1, 20)):
                request = random.choice(known)
                answer = await client.ask(request.message)
                counts[f"good {answer.status}"] += 1
                if answer.status == 200 and answer.body != request.answer:
                    equal = same(json.loads(answer.body), json.loads(request.answer))
                    counts["wrong answers"] += not equal
                if answer.closes:
                    break
            client.close()
        except (Refused, Lost) as error:
            counts[f"good {type(error).__name__.lower()}"] += 1
        await asyncio.sleep(random.random() * 0.05)


async def run(
    options: argparse.Namespace, server: Server, known: Sequence[Known], counts: Counter[str]
) -> list[tuple[float, dict[str, int]]]:
    """Run the traffic; return (seconds, usage) samples."""
    started = time.monotonic()
    end = started + options.seconds
    tasks = [asyncio.create_task(call(server.port, known, end, counts)) for _ in range(CALLERS)]
    tasks += [
        asyncio.create_task(cause(incident, pause, server.port, end, counts))
        for incident, (clients, pause) in INCIDENTS.items()
        for _ in range(clients)
    ]
    samples = []
    while time.monotonic() < end:
        await asyncio.sleep(options.every)
        samples.append((time.monotonic() - started, server.usage()))
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    return samples


def learn_answers(server: Server, count: int) -> list[Known]:
    """Valid requests with the answers that an idle server gives."""
    choice = random.Random(0)
    known = []
    for _ in range(count):
        message = make_message(choice)
        head, _, body = message.partition(b"\r\n\r\n")
        status, answer = fetch(server.port, head.split()[1].decode(), body, timeout=60)
        if status != 200:
            raise AssertionError(f"{status} on an idle server: {answer[:200]!r}")
        known.append(Known(message, answer))
    return known


def main() -> None:
    """Run the soak and print the figures."""
    parser = make_parser(__doc__)
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--every", type=float, default=5, help="seconds between samples")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--requests", type=int, default=200, help="different valid requests")
    options = parse_options(parser, seconds=300.0, every=2.0)
    counts: Counter[str] = Counter()
    with Server(options, "--workers", options.workers) as server:
        known = learn_answers(server, options.requests)
        before = server.usage()
        samples = asyncio.run(run(options, server, known, counts))
        time.sleep(8)
        after = server.usage()
        status = server.stop()
        tracebacks = server.log().count("Traceback")
    late = samples[len(samples) // 3 :]
    growth = 3600 / 1024 / options.workers * slope([(t, usage["rss"]) for t, usage in late])
    failed = {name: n for name, n in counts.items() if " 5" in name}
    growth_goal = at_most("memory slope, KB an hour a worker", round(growth), MAX_KILOBYTES_AN_HOUR)
    if options.seconds < MIN_SECONDS_FOR_SLOPE:
        short = round(growth * (late[-1][0] - late[0][0]) / 3600)
        growth_goal = at_most("memory growth, KB a worker", short, MAX_SHORT_GROWTH_KILOBYTES)
    goals = [
        growth_goal,
        at_most("wrong answers", counts["wrong answers"], 0),
        at_most("answers with status 5xx", sum(failed.values()), 0),
        at_most("tracebacks in the log", tracebacks, 0),
        Goal("exit status", status, "0", status == 0),
    ]
    finish(
        "soak",
        goals,
        seconds=options.seconds,
        workers=options.workers,
        kilobytes_an_hour=round(growth),
        rss_mb={
            "before": before["rss"] // MEGABYTE,
            "max": max(usage["rss"] for _, usage in samples) // MEGABYTE,
            "after": after["rss"] // MEGABYTE,
        },
        descriptors={"before": before["descriptors"], "after": after["descriptors"]},
        threads={"before": before["threads"], "after": after["threads"]},
        exit_status=status,
        counts=dict(counts.most_common()),
    )


if __name__ == "__main__":
    main()
