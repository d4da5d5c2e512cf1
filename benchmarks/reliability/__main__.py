"""Run every program and print the goals and the measured figures as a table in Markdown.

`python -m benchmarks.reliability --quick` takes about 15 minutes, without `--quick` several hours.
Each program's JSON line goes to standard error as soon as it has ended.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from benchmarks.reliability.harness import ROOT

SIGTERM = [
    ["sigterm", "--workers", workers, "--throttle", throttle]
    for workers in ("1", "2")
    for throttle in ("1", "0.3")
]
RUNS = [
    *SIGTERM,
    ["sigterm", "--drain-seconds", "5", "--pause", "1"],
    ["sigkill", "--signal", "SIGTERM"],
    ["sigkill", "--signal", "SIGKILL"],
    ["fairness"],
    ["overload"],
    ["memory"],
    ["reload"],
    ["schema"],
    ["fuzz"],
    ["soak"],
]
"""Each program with the options of its goals."""


def run(arguments: list[str]) -> dict[str, Any]:
    """Run one program; return its JSON line, or its error as a missed goal."""
    command = [sys.executable, "-m", f"benchmarks.reliability.{arguments[0]}", *arguments[1:]]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    print(done.stdout.strip() or done.stderr.strip(), file=sys.stderr, flush=True)
    if done.returncode in (0, 1) and done.stdout:
        result: dict[str, Any] = json.loads(done.stdout)
        return result
    name = f"nothing measured: exit status {done.returncode}"
    return {"goals": [{"name": name, "measured": "", "limit": "", "met": False}]}


def rows(arguments: list[str], result: dict[str, Any]) -> Iterator[str]:
    """The goals of one program as rows of the table."""
    for goal in result["goals"]:
        met = "yes" if goal["met"] else "**no**"
        cells = (" ".join(arguments), goal["name"], goal["measured"], goal["limit"], met)
        yield f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    """Run all programs, print the table, and exit with 1 if a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reliability", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="about a tenth of the work")
    parser.add_argument("--program", action="append", help="only this one; may be repeated")
    options = parser.parse_args()
    quick = ["--quick"] if options.quick else []
    missed = False
    print("| program | what | measured | goal | met |\n|---|---|---:|---:|---|", flush=True)
    for arguments in RUNS:
        if options.program and arguments[0] not in options.program:
            continue
        result = run([*arguments, *quick])
        missed |= not all(goal["met"] for goal in result["goals"])
        print("\n".join(rows(arguments, result)), flush=True)
    raise SystemExit(1 if missed else 0)


if __name__ == "__main__":
    main()
