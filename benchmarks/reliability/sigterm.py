"""Count the requests that get no answer when the server receives SIGTERM under load.

Keep-alive connections send one request after another; every second one pauses between them.
New connections arrive at a fixed rate, each with one request. A request is lost if its connection
was made and no complete answer came:

- `lost_new`: the first request of a connection.
- `lost_kept`: a later request, sent as soon as the answer before it came.
- `lost_idle`: a later request on a connection that was idle. HTTP allows a server to close an idle
  connection at any time, so clients send such a request again.

`refused` counts connections that were not made.
"""

import argparse
import asyncio
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from benchmarks.reliability.harness import (
    STOP_TIMEOUT,
    Client,
    Lost,
    Refused,
    Server,
    at_most,
    finish,
    make_parser,
    parse_options,
    single,
)

REQUEST = single("A gripping, beautifully shot film that I would gladly see again. " * 3)
PERIOD = 0.1
"""Seconds in which a container's processor limit is counted."""
STALL_TIMEOUT = 10.0


async def ask_repeatedly(
    port: int, pause: float, ended: asyncio.Event, counts: Counter[str]
) -> None:
    """Send requests on kept connections until `ended`, each after at most `pause` idle seconds."""
    while not ended.is_set():
        try:
            client = await Client.connect(port)
        except Refused:
            counts["refused"] += 1
            await asyncio.sleep(0.02)
            continue
        await _use(client, pause, ended, counts)
        client.close()


async def _use(client: Client, pause: float, ended: asyncio.Event, counts: Counter[str]) -> None:
    idle = 0.0
    while True:
        if pause and client.requests:
            idle = random.random() * pause
            await asyncio.sleep(idle)
        if ended.is_set():
            return
        try:
            answer = await client.ask(REQUEST)
        except Lost:
            kind = "new" if client.requests == 1 else "idle" if idle else "kept"
            counts[f"lost_{kind}"] += 1
            return
        counts[str(answer.status)] += 1
        if answer.closes:
            return


async def ask_once(port: int, counts: Counter[str]) -> None:
    """Send one request on a new connection."""
    try:
        client = await Client.connect(port)
    except Refused:
        counts["refused"] += 1
        return
    try:
        counts[str((await client.ask(REQUEST)).status)] += 1
    except Lost:
        counts["lost_new"] += 1
    finally:
        client.close()


def send_to(pids: Sequence[int], number: int) -> None:
    """Signal processes that may have ended."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


async def throttle(pids: Sequence[int], share: float) -> None:
    """Run processes for `share` of every period, as a container's processor limit does."""
    while share < 1:
        for number, seconds in (
            (signal.SIGSTOP, PERIOD * (1 - share)),
            (signal.SIGCONT, PERIOD * share),
        ):
            send_to(pids, number)
            await asyncio.sleep(seconds)


def find_listeners(pids: Sequence[int], port: int) -> dict[int, Path]:
    """Each worker's descriptor of the socket that listens on `port`."""
    lines = Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]
    fields = [line.split() for line in lines]
    # 0A is the state LISTEN, see proc_net_tcp.
    inodes = [f[9] for f in fields if f[1].endswith(f":{port:04X}") and f[3] == "0A"]
    targets = [f"socket:[{inode}]" for inode in inodes]
    return {
        pid: descriptor
        for pid in pids
        for descriptor in Path(f"/proc/{pid}/fd").iterdir()
        if str(descriptor.readlink()) in targets
    }


def stall_after_close(pid: int, listener: Path, seconds: float) -> None:
    """Let a stopped worker run until it closes its listening socket, then stop it again.

    A container's processor limit can stop a process at that moment, too.
    """
    before = listener.readlink()
    end = time.monotonic() + STALL_TIMEOUT
    send_to([pid], signal.SIGCONT)
    with suppress(OSError):  # the descriptor, or the process, is gone
        while listener.readlink() == before and time.monotonic() < end:
            pass
    send_to([pid], signal.SIGSTOP)
    time.sleep(seconds)
    send_to([pid], signal.SIGCONT)


async def run_round(options: argparse.Namespace, server: Server, counts: Counter[str]) -> float:
    """Load the server, send SIGTERM, and return the seconds until it has ended."""
    ended = asyncio.Event()
    pauses = [options.pause if number % 2 else 0.0 for number in range(options.kept)]
    tasks = [
        asyncio.create_task(ask_repeatedly(server.port, pause, ended, counts)) for pause in pauses
    ]
    arriving = asyncio.create_task(_arrive(options, server, counts))
    await asyncio.sleep(options.before + random.random() * 0.2)
    workers = server.workers()
    listeners = find_listeners(workers, server.port)
    started = time.monotonic()
    server.process.terminate()
    if options.stall:
        # Connections gather while the workers do not run.
        await asyncio.sleep(options.drain_seconds + 0.05)
        send_to(workers, signal.SIGSTOP)
        await asyncio.sleep(options.stall)
        stalls = [
            threading.Thread(target=stall_after_close, args=(pid, listener, options.stall))
            for pid, listener in listeners.items()
        ]
        for stall in stalls:
            stall.start()
    throttling = asyncio.create_task(throttle(workers, options.throttle))
    await asyncio.to_thread(server.process.wait, STOP_TIMEOUT)
    seconds = time.monotonic() - started
    throttling.cancel()
    ended.set()
    await arriving
    await asyncio.wait(tasks, timeout=10)
    return seconds


async def _arrive(options: argparse.Namespace, server: Server, counts: Counter[str]) -> None:
    """Open new connections, `bunch` at once, until the server has ended."""
    tasks = []
    due = time.monotonic()
    while server.running:
        while due < time.monotonic():
            tasks += [
                asyncio.create_task(ask_once(server.port, counts)) for _ in range(options.bunch)
            ]
            due += options.bunch / options.rate
        await asyncio.sleep(0.002)
    await asyncio.wait(tasks, timeout=10)


def main() -> None:
    """Run the rounds and print the figures."""
    parser = make_parser(__doc__)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--drain-seconds", type=float, default=0.0)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--kept", type=int, default=16, help="keep-alive connections")
    parser.add_argument("--rate", type=float, default=200, help="new connections a second")
    parser.add_argument("--bunch", type=int, default=16, help="new connections at once")
    parser.add_argument(
        "--pause", type=float, default=0.0, help="maximum idle seconds of every second connection"
    )
    parser.add_argument(
        "--throttle", type=float, default=1.0, help="share of the time workers run after SIGTERM"
    )
    parser.add_argument(
        "--stall",
        type=float,
        default=0.0,
        help="seconds that workers are stopped before and after they close the listening socket",
    )
    parser.add_argument("--before", type=float, default=0.7, help="seconds of load before SIGTERM")
    options = parse_options(parser, rounds=5)
    counts: Counter[str] = Counter()
    statuses: Counter[str] = Counter()
    seconds = []
    for _ in range(options.rounds):
        with Server(
            options, "--workers", options.workers, "--drain-seconds", options.drain_seconds
        ) as server:
            seconds.append(asyncio.run(run_round(options, server, counts)))
            statuses[str(server.process.returncode)] += 1
    lost = counts["lost_new"] + counts["lost_kept"]
    goals = [
        at_most("lost_new + lost_kept", lost, 0),
        at_most("exit statuses other than 0", options.rounds - statuses["0"], 0),
    ]
    if options.drain_seconds >= 5:
        goals.append(at_most("lost_idle", counts["lost_idle"], 0))
    finish(
        "sigterm",
        goals,
        workers=options.workers,
        drain_seconds=options.drain_seconds,
        rounds=options.rounds,
        pause=options.pause,
        throttle=options.throttle,
        stall=options.stall,
        bunch=options.bunch,
        answered=sum(count for name, count in counts.items() if name.isdigit()),
        counts=dict(counts),
        exit_statuses=dict(statuses),
        seconds_to_exit=[round(min(seconds), 2), round(max(seconds), 2)],
    )


if __name__ == "__main__":
    main()
