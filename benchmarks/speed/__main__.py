"""Measure `heed serve` and its lower bounds: `python -m benchmarks.speed [BUNDLE]`, `make bench`.

The server has one core and the load another. A round measures both sides of each ratio within
seconds; the result is the median of the rounds. JSON goes to stdout, a table to stderr.
"""

import argparse
import json
import statistics
import sys
from importlib.metadata import version
from pathlib import Path

from benchmarks.load.server import check_tools, describe_machine, exit_with
from benchmarks.speed.service import ServiceBenchmark
from heed.model.errors import HeedError
from heed.model.inference import Bundle, OnnxClassifier

GOALS = (
    ("over_http", "`/classify`, 16 connections: (T - T_loop) / T_asgi", "<=", 2.0),
    ("batch_none_to_loop", "batches of 64, `none`, relative to a bare loop", ">=", 0.93),
    ("batch_attention_to_loop", "batches of 64, `attention`, relative to it", ">=", 0.93),
    ("p50_to_floors", "p50 at one connection relative to T_loop + T_asgi", "<=", 1.3),
    ("p99_to_idle", "p99 at half load, open loop, relative to p50 when idle", "<=", 4.0),
    ("goodput_to_peak", "goodput at ten times the peak load, relative to the peak", ">=", 0.9),
    ("rejection_p99_ms", "p99 of a rejection, ms", "<=", 20.0),
    ("two_workers_to_one", "two workers on two cores relative to one on one", ">=", 1.8),
    ("contributions_to_none", "throughput with `contributions` relative to `none`", ">=", 0.8),
    ("padding", "share of padding in computed tokens, mixed lengths", "<=", 0.1),
    ("resident_mb", "resident MB of a worker", "<=", 250.0),
    ("resident_after_long_mb", "the same after batches of 512 long texts", "<=", 250.0),
    ("seconds_to_ready", "seconds from command to ready", "<=", 2.0),
)
"""Name of the figure, what it is, and the goal."""


def main() -> None:
    """Measure, then print JSON and a table."""
    options = read_options()
    check_tools()
    try:
        provider = OnnxClassifier(Bundle.load(options.bundle), options.device).provider
    except HeedError as error:
        exit_with(str(error))
    benchmark = ServiceBenchmark(options.bundle, options.device, options.seconds)
    figures = benchmark.start()
    with benchmark.service() as pid:
        with benchmark.asgi_floor() as floor_url:
            rounds = [benchmark.one_round(floor_url) for _ in range(options.rounds)]
        figures |= {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
        figures |= benchmark.padding()
        figures |= benchmark.memory(pid)
    figures |= benchmark.workers(options.rounds)
    document = {
        "machine": describe_machine() | {"provider": provider, "onnxruntime": runtime_version()},
        "rounds": options.rounds,
        "seconds": options.seconds,
        "figures": {name: round(value, 4) for name, value in figures.items()},
    }
    json.dump(document, sys.stdout, indent=1)
    print()
    print(table(figures), file=sys.stderr)


def read_options() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("bundle", type=Path, nargs="?", default=Path("bundles/sentiment"))
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each load")
    return parser.parse_args()


def runtime_version() -> str:
    """Return the version of onnxruntime, whose package has another name on Linux."""
    return version("onnxruntime-gpu" if sys.platform == "linux" else "onnxruntime")


def table(figures: dict[str, float]) -> str:
    """Return the figures that have a goal as a Markdown table."""
    rows = [f"| {what} | {figures[name]:.2f} | {sign} {goal} |" for name, what, sign, goal in GOALS]
    return "\n".join(["| what | measured | goal |", "|---|---:|---:|", *rows])


if __name__ == "__main__":
    main()
