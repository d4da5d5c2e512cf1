"""Reload a bundle again and again under load, and check every answer.

Each reload replaces `config.json` in place by another version and sends SIGHUP to the server, or
waits for `--watch`. Every tenth reload first writes a config that the server must refuse. During
the first reloads one worker is killed after each; requests that are lost in those rounds do not
count. At the end, a second server answers as many requests without a reload, and the memory of
both is compared.
"""

import argparse
import asyncio
import json
import math
import os
import random
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path

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
    parse_options,
    single,
)
from benchmarks.reliability.versions import VersionedBundle

TEXT = "A gripping, beautifully shot film."
RELOAD_TIMEOUT = 15.0
MAX_MEGABYTES = 10
AGREEING = 20
"""Answers in a row that must name the new version, so that every worker has answered."""


class Load:
    """Keep-alive clients, new connections and batches; every answer is checked."""

    def __init__(
        self, port: int, bundle: VersionedBundle, *, pause: float, limit: float = math.inf
    ) -> None:
        self._port, self._bundle, self._pause, self._limit = port, bundle, pause, limit
        self.counts: Counter[str] = Counter()
        self.ended = False
        self._single = single(TEXT, model=bundle.name, explain="none")
        self._batch = batch([TEXT] * 20, model=bundle.name, explain="none")

    async def run(self, clients: int) -> None:
        """Ask with `clients` clients until `ended` or `limit` requests are sent."""
        await asyncio.gather(*(self._ask_repeatedly(number) for number in range(clients)))

    async def _ask_repeatedly(self, number: int) -> None:
        """Every second client uses a new connection each time, every fourth sends batches."""
        client = None
        while not self.ended and self.counts.total() < self._limit:
            try:
                client = client or await Client.connect(self._port)
                answer = await client.ask(self._batch if number % 4 == 3 else self._single)
            except (Refused, Lost) as error:
                self.counts[type(error).__name__.lower()] += 1
                client = None
                await asyncio.sleep(0.05)
                continue
            self.counts[str(answer.status)] += 1
            if answer.status == 200:
                self._check(answer.body)
            if answer.closes or number % 2:
                client.close()
                client = None
            await asyncio.sleep(random.random() * self._pause)

    def _check(self, body: bytes) -> None:
        answer = json.loads(body)
        for result in answer.get("results", [answer]):
            if not self._bundle.was_served({"version": answer["version"], **result}):
                self.counts["never served"] += 1

    def failures(self) -> Counter[str]:
        """Outcomes that may not happen during a reload."""
        return Counter({name: n for name, n in self.counts.items() if name != "200"})


async def await_version(port: int, name: str, version: str) -> float | None:
    """Seconds until `AGREEING` answers in a row name `version`; None if that never happens."""
    started = time.monotonic()
    agreeing = 0
    body = json.dumps({"text": TEXT, "model": name, "explain": "none"}).encode()
    while time.monotonic() < started + RELOAD_TIMEOUT:
        status, answer = await asyncio.to_thread(fetch, port, "/classify", body)
        agreeing = agreeing + 1 if status == 200 and version.encode() in answer else 0
        if agreeing == AGREEING:
            return time.monotonic() - started
        if status == 0:
            await asyncio.sleep(0.1)
    return None


async def reload(options: argparse.Namespace, server: Server) -> None:
    """Ask the server to read its bundles again."""
    if options.watch:
        await asyncio.sleep(options.watch)
    elif server.running:
        os.kill(server.pid, signal.SIGHUP)


async def refuse(options: argparse.Namespace, server: Server, bundle: VersionedBundle) -> bool:
    """Reload an invalid config; return whether the server reports `reload_error`."""
    bundle.write_invalid()
    await reload(options, server)
    for _ in range(100):
        body = await asyncio.to_thread(fetch, server.port, f"/models/{bundle.name}")
        if b'"reload_error"' in body[1] and b'"reload_error":null' not in body[1]:
            return True
        await asyncio.sleep(0.05)
    return False


async def kill_worker(server: Server) -> None:
    """Kill one worker and wait until all are ready again."""
    before = set(server.workers())
    if not before:
        return
    os.kill(random.choice(sorted(before)), signal.SIGKILL)
    for _ in range(300):
        ready = await asyncio.to_thread(server.metric, "heed_ready_workers")
        if ready == len(before) and set(server.workers()) != before:
            return
        await asyncio.sleep(0.05)


async def measure(
    options: argparse.Namespace, server: Server, bundle: VersionedBundle
) -> dict[str, object]:
    """Run all reloads under load; stop early if the server ends or does not reload."""
    load = Load(server.port, bundle, pause=options.pause)
    running = asyncio.create_task(load.run(options.clients))
    seconds: list[float] = []
    lost_in_kills = missed = unreported = 0
    for number in range(2, options.reloads + 2):
        before = load.counts["lost"] + load.counts["refused"]
        if number % 10 == 0:
            unreported += not await refuse(options, server, bundle)
        version = bundle.write(number)
        await reload(options, server)
        took = await await_version(server.port, bundle.name, version)
        if took is None:
            missed = options.reloads + 2 - number
            break
        seconds.append(took)
        if number < options.kills + 2:
            await kill_worker(server)
            lost_in_kills += load.counts["lost"] + load.counts["refused"] - before
    load.ended = True
    await asyncio.wait([running], timeout=60)
    failures = load.failures()
    return {
        "requests": load.counts.total(),
        "counts": dict(load.counts),
        "failures": failures.total() - lost_in_kills,
        "lost_with_killed_workers": lost_in_kills,
        "missed": missed,
        "unreported": unreported,
        "seconds": [round(min(seconds), 2), round(max(seconds), 2)] if seconds else None,
    }


def megabytes_a_worker(server: Server) -> float:
    """Resident memory of the supervisor and its workers, divided by the number of workers."""
    return server.usage()["rss"] / MEGABYTE / max(1, len(server.workers()))


def main() -> None:
    """Run the reloads, then the server without reloads, and print the figures."""
    parser = make_parser(__doc__)
    parser.add_argument("--bundle", default="sentiment", help="name below --bundles")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--reloads", type=int, default=200)
    parser.add_argument("--kills", type=int, default=50, help="workers killed, one a reload")
    parser.add_argument("--clients", type=int, default=12)
    parser.add_argument("--pause", type=float, default=0.02, help="maximum pause of a client")
    parser.add_argument("--watch", type=float, default=0, help="use --watch instead of SIGHUP")
    options = parse_options(parser, reloads=20, kills=5)
    flags = ["--workers", options.workers, *(["--watch", options.watch] if options.watch else [])]
    with tempfile.TemporaryDirectory() as folder:
        bundle = VersionedBundle(options.bundles / options.bundle, Path(folder))
        with Server(options, *flags, bundles=Path(folder)) as server:
            figures = asyncio.run(measure(options, server, bundle))
            reloaded = megabytes_a_worker(server) if server.running else None
            status = server.stop()
        growth = None
        if reloaded is not None and not figures["missed"]:
            with Server(options, *flags, bundles=Path(folder)) as server:
                requests = figures["requests"]
                assert isinstance(requests, int)
                load = Load(server.port, bundle, pause=options.pause, limit=requests)
                asyncio.run(load.run(options.clients))
                growth = round(reloaded - megabytes_a_worker(server), 1)
    goals = [
        Goal("reloads not done", figures["missed"], "0", figures["missed"] == 0),
        Goal(
            "answers that are not 200, lost, or of a version never served",
            figures["failures"],
            "0",
            figures["failures"] == 0,
        ),
        Goal(
            "refused bundles without reload_error",
            figures["unreported"],
            "0",
            figures["unreported"] == 0,
        ),
        at_most("growth against a fresh server, MB a worker", growth, MAX_MEGABYTES),
        Goal("exit status", status, "0", status == 0),
    ]
    finish("reload", goals, reloads=options.reloads, kills=options.kills, **figures)


if __name__ == "__main__":
    main()
