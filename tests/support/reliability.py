"""Run a program of `benchmarks/reliability` in a process of its own and check its goals."""

import functools
import json
import subprocess
import sys
from typing import Any

import pytest

from tests.support.command import ROOT

TIMEOUT = 580


@functools.cache
def run_program(*arguments: str) -> dict[str, Any]:
    """Run `python -m benchmarks.reliability.PROGRAM … --quick` once; return its figures.

    Raises:
        RuntimeError: the program measured nothing.
    """
    program, *options = arguments
    done = subprocess.run(
        [sys.executable, "-m", f"benchmarks.reliability.{program}", *options, "--quick"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    if done.returncode not in (0, 1) or not done.stdout:
        raise RuntimeError(f"status {done.returncode}: {done.stdout[-1000:]}{done.stderr[-3000:]}")
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def check_goals(figures: dict[str, Any], *names: str) -> None:
    """Assert that the goals whose names begin with one of `names`, or all goals, are met."""
    goals = [goal for goal in figures["goals"] if not names or goal["name"].startswith(names)]
    assert goals, f"no goal of these names: {names}"
    missed = [goal for goal in goals if not goal["met"]]
    assert not missed, f"{missed}\n{json.dumps(figures)[:5000]}"


def missing(what: str) -> pytest.MarkDecorator:
    """Mark a test of something that is not built yet; it must fail until then."""
    return pytest.mark.xfail(strict=True, raises=AssertionError, reason=f"issue 20: {what}")
