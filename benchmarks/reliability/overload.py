"""Measure the work done when requests arrive at several times the server's capacity.

First the capacity: `--callers` connections send one request after another. Then the same mixture of
single requests and batches arrives at `--factor` times that rate. A request takes a free kept
connection, or else a new one. A request that finds `--max-connections` busy counts as not sent.
"""

import argparse
import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass

from benchmarks.reliability.harness import (
    MEGABYTE,
    Client,
    Lost,
    Refused,
    Server,
    at_least,
    at_most,
    batch,
    fetch,
    finish,
    make_parser,
    milliseconds,
    parse_options,
    single,
)

MAX_IDLE_SECONDS = 2.5
"""A connection that was idle for longer is not used again, because the server may close it."""
WORDS = "the a film of good bad plot and acting was never quite what one hopes to see again"
MAX_WORDS = 120
MIN_WORK_SHARE = 0.85
MAX_BATCH_FACTOR = 2.0


@dataclass(frozen=True)
class Request:
    """A request and what it asks for."""

    message: bytes
    kind: str
    words: int


def make_requests(batch_share: float, texts: int) -> list[Request]:
    """200 requests; about `batch_share` of them are batches of `texts` texts."""
    choice = random.Random(0)

    def text() -> str:
        return " ".join(choice.choices(WORDS.split(), k=choice.randint(MAX_WORDS // 4, MAX_WORDS)))

    requests = []
    for _ in range(200):
        if choice.random() < batch_share:
            some = [text() for _ in range(texts)]
            words = sum(len(one.split()) for one in some)
            requests.append(Request(batch(some, explain="attention"), "batch", words))
        else:
            one = text()
            message = single(one, explain="contributions")
            requests.append(Request(message, "single", len(one.split())))
    return requests


class Load:
    """Sends requests and counts their outcomes."""

    def __init__(self, port: int, requests: list[Request]) -> None:
        self.port, self.requests = port, requests
        self.busy = 0
        self.statuses: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.words = 0
        self.seconds: dict[str, list[float]] = {"200 single": [], "200 batch": [], "429": []}
        self._free: list[Client] = []

    async def ask(self) -> None:
        """Send one request and count its outcome."""
        request = random.choice(self.requests)
        self.busy += 1
        self.sent[request.kind] += 1
        try:
            client = await self._client()
            started = time.perf_counter()
            answer = await client.ask(request.message)
        except Refused:
            self.statuses["refused"] += 1
            return
        except Lost:
            self.statuses["lost_kept" if client.requests > 1 else "lost_new"] += 1
            client.close()
            return
        finally:
            self.busy -= 1
        seconds = time.perf_counter() - started
        self.statuses[str(answer.status)] += 1
        if answer.status == 200:
            self.words += request.words
            self.answered[request.kind] += 1
            self.seconds[f"200 {request.kind}"].append(seconds)
        elif answer.status == 429:
            self.seconds["429"].append(seconds)
        if answer.closes:
            client.close()
        else:
            self._free.append(client)

    async def _client(self) -> Client:
        while self._free:
            client = self._free.pop()
            idle = time.monotonic() - client.last_used
            if not client.reader.at_eof() and idle < MAX_IDLE_SECONDS:
                return client
            client.close()
        return await Client.connect(self.port)

    def answered_share(self, kind: str) -> float:
        """Share of the sent requests of a kind that were answered with 200."""
        return self.answered[kind] / max(1, self.sent[kind])


async def measure_capacity(load: Load, callers: int, seconds: float) -> float:
    """Requests answered a second when each caller waits for its answer."""
    end = time.perf_counter() + seconds

    async def ask_repeatedly() -> None:
        while time.perf_counter() < end:
            await load.ask()

    await asyncio.gather(*(ask_repeatedly() for _ in range(callers)))
    return load.statuses["200"] / seconds


async def offer(load: Load, rate: float, seconds: float, max_connections: int) -> int:
    """Send requests at a fixed rate, whatever the answers; return how many were not sent."""
    tasks: set[asyncio.Task[None]] = set()
    started, due, missed = time.perf_counter(), 0, 0
    while (elapsed := time.perf_counter() - started) < seconds:
        while due < elapsed * rate:
            due += 1
            if load.busy >= max_connections:
                missed += 1
                continue
            task = asyncio.create_task(load.ask())
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.sleep(0.002)
    if tasks:
        await asyncio.wait(tasks, timeout=60)
    return missed


async def watch_memory(server: Server, samples: list[int]) -> None:
    """Record the resident bytes of the server every second."""
    while True:
        samples.append(server.usage()["rss"])
        await asyncio.sleep(1)


async def seconds_to_recover(port: int) -> float:
    """Seconds until a single request is answered again."""
    started = time.perf_counter()
    while time.perf_counter() < started + 60:
        if (await asyncio.to_thread(fetch, port, "/classify", b'{"text": "good"}'))[0] == 200:
            break
        await asyncio.sleep(0.02)
    return time.perf_counter() - started


async def measure(options: argparse.Namespace, server: Server) -> None:
    """Measure capacity, overload and recovery; print the figures."""
    requests = make_requests(options.batch_share, options.texts)
    calm, load, later = (Load(server.port, requests) for _ in range(3))
    samples: list[int] = []
    before = server.processor_seconds()
    capacity = await measure_capacity(calm, options.callers, options.calm_seconds)
    calm_work = calm.words / max(0.01, server.processor_seconds() - before)
    watching = asyncio.create_task(watch_memory(server, samples))
    before = server.processor_seconds()
    missed = await offer(load, options.factor * capacity, options.seconds, options.max_connections)
    processor = server.processor_seconds() - before
    work = load.words / max(0.01, processor)
    watching.cancel()
    recovery = await seconds_to_recover(server.port)
    after = await measure_capacity(later, options.callers, options.calm_seconds)
    shares = {kind: round(load.answered_share(kind), 4) for kind in ("single", "batch")}
    ratio = max(shares.values()) / max(1e-9, min(shares.values()))
    goals = [
        at_least("words a processor second, to calm", round(work / calm_work, 3), MIN_WORK_SHARE),
        at_most("answered shares, larger to smaller", round(min(ratio, 1e6), 2), MAX_BATCH_FACTOR),
    ]
    finish(
        "overload",
        goals,
        workers=options.workers,
        seconds=options.seconds,
        capacity=round(capacity, 1),
        offered=round(options.factor * capacity, 1),
        sent=dict(load.sent),
        not_sent=missed,
        statuses=dict(load.statuses),
        answered_share=shares,
        words_a_processor_second={"calm": round(calm_work), "overloaded": round(work)},
        processors=round(processor / options.seconds, 2),
        ms={name: milliseconds(values) for name, values in load.seconds.items()},
        recovery_seconds=round(recovery, 2),
        capacity_after_share=round(after / capacity, 3),
        rss_mb={"first": samples[0] // MEGABYTE, "max": max(samples) // MEGABYTE},
    )


def main() -> None:
    """Start the server, measure and print the figures."""
    parser = make_parser(__doc__)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60, help="of overload")
    parser.add_argument("--calm-seconds", type=float, default=8, help="of each capacity phase")
    parser.add_argument("--factor", type=float, default=10, help="offered load to capacity")
    parser.add_argument("--callers", type=int, default=16, help="connections of a capacity phase")
    parser.add_argument("--max-connections", type=int, default=900)
    parser.add_argument("--batch-share", type=float, default=0.2)
    parser.add_argument("--texts", type=int, default=64, help="texts of a batch")
    options = parse_options(parser, seconds=10.0, calm_seconds=4.0)
    with Server(options, "--workers", options.workers) as server:
        asyncio.run(measure(options, server))


if __name__ == "__main__":
    main()
