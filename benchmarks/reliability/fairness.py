"""Measure single requests while other clients send the largest batches without a pause.

Single requests of one sentence arrive at a fixed rate, each on a new connection: first alone, then
while `--heavy` connections send `--texts` texts of `--words` words, one request after another.
Measured in both phases: the share of single requests that are answered, and their latency.
"""

import argparse
import asyncio
import json
import time
from collections import Counter

from benchmarks.reliability.harness import (
    MEGABYTE,
    Client,
    Goal,
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
    percentile,
    single,
)

SINGLE = single("A gripping, beautifully shot film.")


class Phase:
    """Outcomes of the single requests of one phase."""

    def __init__(self) -> None:
        self.statuses: Counter[str] = Counter()
        self.seconds: list[float] = []

    @property
    def answered(self) -> float:
        """Share of the requests that were answered with 200."""
        return round(self.statuses["200"] / max(1, self.statuses.total()), 4)

    def figures(self) -> dict[str, object]:
        """The phase as JSON values."""
        return {
            "answered_share": self.answered,
            "statuses": dict(self.statuses),
            "ms": milliseconds(self.seconds),
        }

    async def run(self, port: int, rate: float, seconds: float) -> None:
        """Send single requests at `rate` a second; wait for all answers."""
        started = time.perf_counter()
        tasks = []
        for number in range(max(1, int(rate * seconds))):
            due = started + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.append(asyncio.create_task(self._ask(port, due)))
        await asyncio.wait(tasks)

    async def _ask(self, port: int, due: float) -> None:
        try:
            client = await Client.connect(port)
        except Refused:
            self.statuses["refused"] += 1
            return
        try:
            answer = await client.ask(SINGLE)
            self.statuses[str(answer.status)] += 1
            if answer.status == 200:
                self.seconds.append(time.perf_counter() - due)
        except Lost:
            self.statuses["lost"] += 1
        finally:
            client.close()


async def send_batches(port: int, message: bytes, statuses: Counter[str]) -> None:
    """Send the same batch again and again; after a 429 wait 10 ms."""
    client = None
    while True:
        try:
            client = client or await Client.connect(port)
            answer = await client.ask(message)
        except (Refused, Lost):
            statuses["lost"] += 1
            client = None
            await asyncio.sleep(0.05)
            continue
        statuses[str(answer.status)] += 1
        if answer.closes:
            client.close()
            client = None
        if answer.status == 429:
            await asyncio.sleep(0.01)


def seconds_of_a_run(server: Server, explain: str) -> float:
    """Mean seconds of one run of the network on long texts, from the server's metrics."""

    def totals() -> tuple[float, float]:
        seconds = server.metric('heed_stage_seconds_sum{stage="inference"}')
        return seconds, server.metric("heed_batch_texts_count")

    before = totals()
    body = {"texts": ["good film " * 195] * 64, "explain": explain}
    fetch(server.port, "/classify/batch", json.dumps(body).encode(), timeout=60)
    after = totals()
    return (after[0] - before[0]) / max(1.0, after[1] - before[1])


async def measure(options: argparse.Namespace, port: int) -> tuple[Phase, Phase, Counter[str]]:
    """Run both phases; return them and the statuses of the batches."""
    alone, shared = Phase(), Phase()
    await alone.run(port, options.rate, options.seconds)
    text = " ".join(["good film"] * (options.words // 2))
    message = batch([text] * options.texts, explain=options.explain)
    statuses: Counter[str] = Counter()
    tasks = [
        asyncio.create_task(send_batches(port, message, statuses)) for _ in range(options.heavy)
    ]
    await asyncio.sleep(1)
    await shared.run(port, options.rate, options.seconds)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    return alone, shared, statuses


def main() -> None:
    """Run both phases and print the figures."""
    parser = make_parser(__doc__)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60, help="of each phase")
    parser.add_argument("--rate", type=float, default=20, help="single requests a second")
    parser.add_argument("--heavy", type=int, default=1, help="connections that send batches")
    parser.add_argument("--texts", type=int, default=1024, help="texts of a batch")
    parser.add_argument("--words", type=int, default=390, help="words of a text")
    parser.add_argument("--explain", default="none")
    options = parse_options(parser, seconds=12.0)
    with Server(options, "--workers", options.workers) as server:
        run_seconds = seconds_of_a_run(server, options.explain)
        alone, shared, batches = asyncio.run(measure(options, server.port))
        rss = server.usage()["rss"]
    p99_alone, p99_shared = percentile(alone.seconds, 0.99), percentile(shared.seconds, 0.99)
    limit = 3 * (p99_alone or 0) + run_seconds
    refused = batches.total() - batches["200"]
    goals = [
        at_least("share of single requests answered", shared.answered, 1),
        at_most("p99 of single requests, seconds", p99_shared, round(limit, 4)),
        Goal(
            "batches: answered, not answered",
            [batches["200"], refused],
            ">= 1, 0",
            batches["200"] > 0 and refused == 0,
        ),
    ]
    finish(
        "fairness",
        goals,
        workers=options.workers,
        seconds=options.seconds,
        heavy=options.heavy,
        texts=options.texts,
        words=options.words,
        rate=options.rate,
        alone=alone.figures(),
        shared=shared.figures(),
        batches=dict(batches),
        run_ms=round(1000 * run_seconds, 1),
        rss_mb=rss // MEGABYTE,
    )


if __name__ == "__main__":
    main()
