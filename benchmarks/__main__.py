"""Measure the service beside its floors: `python -m benchmarks [BUNDLE]`, or `make bench`.

The server has one core and the load another. A round measures every side of a ratio within
seconds; what is told is the median of the rounds. JSON goes to stdout, a table to stderr.
"""

import argparse
import json
import statistics
import sys
from importlib.metadata import version
from pathlib import Path

from benchmarks.machine import check_tools, describe, give_up
from benchmarks.rows import Measure
from heed.model.errors import HeedError
from heed.model.inference.bundle import Bundle
from heed.model.inference.classifier import OnnxClassifier

GOALS = (
    ("over_http", "`/classify`, 16 connections: (T - T_loop) / T_asgi", "<=", 2.0),
    ("batch_none_to_loop", "batches of 64 against a bare loop, `none`", ">=", 0.93),
    ("batch_attention_to_loop", "the same, `attention`", ">=", 0.93),
    ("p50_to_floors", "p50 at one connection to T_loop + T_asgi", "<=", 1.3),
    ("p99_to_idle", "p99 at half load, open loop, to p50 when idle", "<=", 4.0),
    ("goodput_to_peak", "goodput, offered ten times the peak", ">=", 0.9),
    ("refusal_p99_ms", "p99 of a refusal, ms", "<=", 20.0),
    ("two_workers_to_one", "two workers on two cores to one on one", ">=", 1.8),
    ("contributions_to_none", "throughput with `contributions` to `none`", ">=", 0.8),
    ("padding", "padding of computed tokens, mixed lengths", "<=", 0.1),
    ("resident_mb", "resident MB of a worker", "<=", 250.0),
    ("resident_after_long_mb", "the same after batches of 512 long texts", "<=", 250.0),
    ("seconds_to_ready", "seconds from command to ready", "<=", 2.0),
)


def main() -> None:
    """Measure, print JSON and a table."""
    options = read_options()
    check_tools()
    try:
        provider = OnnxClassifier(Bundle.load(options.bundle), options.device).provider
    except HeedError as error:
        give_up(str(error))
    measure = Measure(options.bundle, options.device, options.seconds)
    found = measure.start()
    with measure.service() as pid:
        with measure.bare() as bare:
            rounds = [measure.one_round(bare) for _ in range(options.rounds)]
        found |= {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
        found |= measure.padding()
        found |= measure.memory(pid)
    found |= measure.workers(options.rounds)
    told = {
        "machine": describe() | {"provider": provider, "onnxruntime": version_of_runtime()},
        "rounds": options.rounds,
        "seconds": options.seconds,
        "found": {name: round(value, 4) for name, value in found.items()},
    }
    json.dump(told, sys.stdout, indent=1)
    print()
    print(table(found), file=sys.stderr)


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("bundle", type=Path, nargs="?", default=Path("bundles/sentiment"))
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each load")
    return parser.parse_args()


def version_of_runtime() -> str:
    """The version of onnxruntime, whose package has another name where it can use a GPU."""
    return version("onnxruntime-gpu" if sys.platform == "linux" else "onnxruntime")


def table(found: dict[str, float]) -> str:
    """The figures that have a goal, as a table in Markdown."""
    rows = [f"| {what} | {found[name]:.2f} | {sign} {goal} |" for name, what, sign, goal in GOALS]
    return "\n".join(["| what | measured | goal |", "|---|---:|---:|", *rows])


if __name__ == "__main__":
    main()
