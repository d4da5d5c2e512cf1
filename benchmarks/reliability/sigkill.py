"""Count the requests that get no answer when one of two workers ends under load.

`--signal SIGTERM` asks the worker to end, so no request may be lost. `--signal SIGKILL` ends it at
once, so the requests that it was answering are lost. Also measured: seconds until two workers are
ready again.
"""

import argparse
import asyncio
import os
import random
import signal
import time
from collections import Counter

from benchmarks.reliability.harness import (
    Goal,
    Server,
    at_most,
    finish,
    make_parser,
    parse_options,
)
from benchmarks.reliability.sigterm import ask_once, ask_repeatedly

REPLACE_TIMEOUT = 60.0
MAX_REPLACE_SECONDS = 30.0


async def run_round(
    options: argparse.Namespace, server: Server, counts: Counter[str]
) -> float | None:
    """Signal one worker under load; return the seconds until it is replaced, None if it is not."""
    ended = asyncio.Event()
    kept = [
        asyncio.create_task(ask_repeatedly(server.port, 0.0, ended, counts))
        for _ in range(options.kept)
    ]
    arriving = asyncio.create_task(_arrive(server.port, options.rate, ended, counts))
    await asyncio.sleep(0.7 + random.random() * 0.2)
    before = set(server.workers())
    started = time.monotonic()
    os.kill(random.choice(sorted(before)), signal.Signals[options.signal])
    replaced = None
    while replaced is None and time.monotonic() < started + REPLACE_TIMEOUT:
        await asyncio.sleep(0.05)
        ready = await asyncio.to_thread(server.metric, "heed_ready_workers")
        if ready == 2 and set(server.workers()) != before:
            replaced = time.monotonic() - started
    await asyncio.sleep(0.5)
    ended.set()
    await asyncio.wait([*kept, arriving], timeout=10)
    return replaced


async def _arrive(port: int, rate: float, ended: asyncio.Event, counts: Counter[str]) -> None:
    tasks = []
    due = time.monotonic()
    while not ended.is_set():
        while due < time.monotonic():
            tasks.append(asyncio.create_task(ask_once(port, counts)))
            due += 1 / rate
        await asyncio.sleep(0.005)
    await asyncio.wait(tasks, timeout=10)


def main() -> None:
    """Run the rounds and print the figures."""
    parser = make_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--kept", type=int, default=16, help="keep-alive connections")
    parser.add_argument("--rate", type=float, default=100, help="new connections a second")
    parser.add_argument("--signal", choices=("SIGTERM", "SIGKILL"), default="SIGTERM")
    options = parse_options(parser, rounds=2)
    counts: Counter[str] = Counter()
    lost: list[int] = []
    seconds: list[float | None] = []
    with Server(options, "--workers", 2) as server:
        for _ in range(options.rounds):
            round_counts: Counter[str] = Counter()
            seconds.append(asyncio.run(run_round(options, server, round_counts)))
            lost.append(sum(n for name, n in round_counts.items() if name.startswith("lost")))
            counts += round_counts
        status = server.stop()
    slowest = None if None in seconds else max(value for value in seconds if value is not None)
    goals = [
        at_most("seconds until the worker is replaced", slowest, MAX_REPLACE_SECONDS),
        Goal("exit status", status, "0", status == 0),
    ]
    if options.signal == "SIGTERM":
        goals.append(at_most("lost requests", sum(lost), 0))
    finish(
        "sigkill",
        goals,
        signal=options.signal,
        rounds=options.rounds,
        counts=dict(counts),
        lost_each_round=lost,
        seconds_until_replaced=[None if value is None else round(value, 2) for value in seconds],
        exit_status=status,
    )


if __name__ == "__main__":
    main()
