"""The benchmark runs end to end on a small bundle; no time is asserted."""

import json
import subprocess
import sys
from pathlib import Path

from tests.command import ROOT


def test_benchmark_tells_what_it_measured(trained: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", str(trained)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found["provider"] == "CPUExecutionProvider"
    assert set(found["microseconds_alone"]) == {"tokenize", "none", "attention", "contributions"}
    assert found["http"]["texts_a_second_in_batches_of_64"] > 0
