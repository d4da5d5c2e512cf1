"""Send random inputs to the parts that read what others send, and report every crash.

Five targets: request bodies and texts in one process, request heads to a real server, configs, and
whole bundles with damaged files. Each runs in a process of its own, until `--count` cases or
`--seconds` seconds are done. A failure names the command that repeats its case.
"""

import argparse
import multiprocessing
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnContext
from typing import Any

from benchmarks.reliability.fuzz_targets import TARGETS, Findings
from benchmarks.reliability.harness import Goal, at_most, finish, make_parser, parse_options

HANG_TIMEOUT = 120.0
"""Seconds that a target may take beyond its time."""


class Numbers:
    """Case numbers until the count or the time is reached; `progress[0]` holds the last one."""

    def __init__(self, options: argparse.Namespace, count: int, progress: Any) -> None:
        self._cases = iter(range(options.first, options.first + count))
        self._seconds = options.seconds
        self._progress = progress
        self.started = 0.0
        """When the first number was taken, after the target was set up."""

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        self.started = self.started or time.monotonic()
        if time.monotonic() > self.started + self._seconds:
            raise StopIteration
        number = next(self._cases)
        self._progress[0] = number
        return number


def run_target(
    options: argparse.Namespace, name: str, count: int, progress: Any, results: Connection
) -> None:
    """Run one target in this process and send its findings."""
    findings = Findings()
    numbers = Numbers(options, count, progress)
    TARGETS[name][0](options, numbers, findings)
    results.send((findings, time.monotonic() - numbers.started))


def fuzz(
    context: SpawnContext, options: argparse.Namespace, name: str, count: int
) -> dict[str, object]:
    """Run one target in a process of its own; return its figures."""
    progress = context.RawArray("q", [options.first - 1])
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=run_target, args=(options, name, count, progress, sender))
    process.start()
    sender.close()
    findings, seconds = Findings(), options.seconds
    try:
        if receiver.poll(options.seconds + HANG_TIMEOUT):
            findings, seconds = receiver.recv()
        else:
            findings.fail(progress[0], "the target hangs at this case or one shortly before")
    except EOFError:
        process.join()
        reason = f"the process ended with status {process.exitcode} at this case or shortly before"
        findings.fail(progress[0], reason)
    process.kill()
    process.join()
    done = progress[0] - options.first + 1
    speed = done / seconds
    return {
        "cases": done,
        "a_second": round(speed),
        "minutes_to_goal": round(TARGETS[name][1] / speed / 60, 1) if speed else None,
        "outcomes": dict(findings.outcomes.most_common()),
        "failures": [
            {"repeat": repeat(options, name, number), "reason": reason}
            for number, reason in findings.failures
        ],
    }


def repeat(options: argparse.Namespace, name: str, number: int) -> str:
    """The command that runs one case again; number -1 stands for all of them."""
    command = f"python -m benchmarks.reliability.fuzz --target {name} --seed {options.seed}"
    return command if number < 0 else f"{command} --first {number} --count 1"


def main() -> None:
    """Run the targets and print the figures."""
    parser = make_parser(__doc__)
    parser.add_argument("--target", action="append", choices=TARGETS, help="default: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--count", type=int, help="cases of each target; default: its goal")
    parser.add_argument("--seconds", type=float, default=7200, help="maximum of each target")
    options = parse_options(parser, seconds=60.0)
    context = multiprocessing.get_context("spawn")
    figures: dict[str, object] = {}
    goals: list[Goal] = []
    for name in options.target or TARGETS:
        count = options.count or TARGETS[name][1] // (10 if options.quick else 1)
        result = figures[name] = fuzz(context, options, name, count)
        outcomes = result["outcomes"]
        assert isinstance(outcomes, dict)
        goals.append(at_most(f"{name}: failed cases", outcomes.get("failed", 0), 0))
    finish("fuzz", goals, seed=options.seed, **figures)


if __name__ == "__main__":
    main()
