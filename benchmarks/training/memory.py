"""Measure the peak memory of `heed train`: `python -m benchmarks.training.memory [OPTION...]`.

The program writes a file of random rows (`--rows`, 1,000,000), trains on it until the first
checkpoint and some seconds more, kills the training, and prints one JSON object. It passes unknown
options to `heed train`.
"""

import argparse
import csv
import json
import math
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path

from heed.model.training import STATE

VOCABULARY = 100_000
"""Random words; some of the short ones are equal."""
SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the rows, train on them, and print the peaks."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training.memory")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows to train on")
    parser.add_argument("--words", type=int, default=50, help="words of each row")
    parser.add_argument("--classes", type=int, default=4, help="labels")
    parser.add_argument("--seconds", type=float, default=60, help="after the first checkpoint")
    options, train_options = parser.parse_known_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        data = write_rows(Path(folder) / "rows.csv", options.rows, options.words, options.classes)
        result = vars(options) | {"file_megabytes": data.stat().st_size // 10**6}
        json.dump(result | measure(data, options.seconds, train_options), sys.stdout, indent=2)
    print()


def write_rows(path: Path, rows: int, words: int, classes: int) -> Path:
    """Write rows of random words; the frequency of a word is 1 / its rank (Zipf).

    The rows are the same for every call with the same numbers.
    """
    choice = random.Random(5)
    vocabulary = [
        "".join(choice.choices(SYLLABLES, k=choice.randint(1, 4))) for _ in range(VOCABULARY)
    ]
    weights = list(accumulate(1 / rank for rank in range(1, VOCABULARY + 1)))
    with path.open("w", newline="", encoding="utf-8") as file:
        write = csv.writer(file).writerow
        write(("text", "label"))
        for row in range(rows):
            text = choice.choices(vocabulary, cum_weights=weights, k=words)
            write((" ".join(text), f"label {row % classes}"))
    return path


def measure(data: Path, seconds: float, train_options: Sequence[str]) -> dict[str, float]:
    """Train until the first checkpoint and `seconds` more.

    Returns:
        Seconds and peak megabytes before the first update, and in total.
    """
    folder = data.parent
    state = folder / "checkpoint" / STATE
    command = [
        *(sys.executable, "-m", "heed", "train", str(data), "--out", str(folder / "bundle")),
        *("--epochs", "1", "--checkpoint", str(state.parent), *train_options),
    ]
    started = time.monotonic()
    result: dict[str, float] = {}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as training:
        assert training.stderr is not None
        try:
            line = ""
            for line in training.stderr:
                if " train and " in line:  # the number of rows: all of them are tokenized
                    break
            else:
                raise SystemExit("the training failed: " + line)
            peak = peak_megabytes(training.pid)
            result["seconds_before_updates"] = round(time.monotonic() - started, 1)
            result["megabytes_before_updates"] = peak
            saved = math.inf
            while training.poll() is None and time.monotonic() < saved + seconds:
                peak = max(peak, peak_megabytes(training.pid))
                if saved == math.inf and state.exists():
                    saved = time.monotonic()
                time.sleep(0.2)
            result["seconds_in_total"] = round(time.monotonic() - started, 1)
            result["megabytes_in_total"] = peak
        finally:
            training.kill()
    return result


def peak_megabytes(process: int) -> int:
    """Return the peak memory of a process (Linux); 0 if it has ended."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    lines = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(next(lines, "VmHWM: 0 kB").split()[1]) * 1024 // 10**6


if __name__ == "__main__":
    main()
