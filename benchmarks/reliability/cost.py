"""Compare the processor time of a request with that of another checkout of the project.

`--before FOLDER` names the checkout, say a worktree of the commit before. Each pair of measurements
starts both servers one after the other, in alternating order, and loads each with 16 connections.
"""

import argparse
import asyncio
import math
import statistics
import time
from pathlib import Path

from benchmarks.reliability.harness import (
    ROOT,
    Client,
    Server,
    at_most,
    finish,
    make_parser,
    parse_options,
    single,
)

REQUEST = single("A gripping, beautifully shot film that I would gladly see again. " * 3)
STUDENT_T = 2.1
"""97.5 % point of Student's t distribution, for about 20 pairs."""
MAX_RATIO = 1.05


async def ask_repeatedly(port: int, end: float) -> int:
    """Send requests on one connection until `end`; return their number."""
    client = await Client.connect(port)
    count = 0
    while time.monotonic() < end:
        answer = await client.ask(REQUEST)
        assert answer.status == 200, answer
        count += 1
    client.close()
    return count


async def load(port: int, connections: int, seconds: float) -> int:
    """Send requests on several connections; return their number."""
    end = time.monotonic() + seconds
    return sum(await asyncio.gather(*(ask_repeatedly(port, end) for _ in range(connections))))


def measure(options: argparse.Namespace, root: Path) -> float:
    """Processor seconds of a request, served by the code in `root`."""
    with Server(options, root=root) as server:
        asyncio.run(load(server.port, options.connections, 1))
        before = server.processor_seconds()
        requests = asyncio.run(load(server.port, options.connections, options.seconds))
        return (server.processor_seconds() - before) / requests


def main() -> None:
    """Measure the pairs and print the figures."""
    parser = make_parser(__doc__)
    parser.add_argument("--before", type=Path, required=True, help="checkout to compare with")
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=5, help="of each measurement")
    options = parse_options(parser, pairs=3)
    before, ratios = options.before.resolve(), []
    for number in range(options.pairs):
        order = (ROOT, before) if number % 2 else (before, ROOT)
        seconds = {root: measure(options, root) for root in order}
        ratios.append(seconds[ROOT] / seconds[before])
    mean = statistics.fmean(ratios)
    margin = STUDENT_T * statistics.stdev(ratios) / math.sqrt(len(ratios)) if ratios[1:] else 0.0
    finish(
        "cost",
        [at_most("ratio, lower end of the 95 % interval", round(mean - margin, 4), MAX_RATIO)],
        pairs=options.pairs,
        ratio=round(mean, 4),
        interval=[round(mean - margin, 4), round(mean + margin, 4)],
        microseconds={str(root.name): round(1e6 * value, 1) for root, value in seconds.items()},
    )


if __name__ == "__main__":
    main()
