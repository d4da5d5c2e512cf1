"""Most memory that `heed train` holds: `python -m benchmarks.memory [--rows 1000000] [OPTION...]`.

It makes a file of that many rows, trains on it until the training has saved where it stands, ends
it there, and prints one JSON object. An OPTION that it does not know is one of `heed train`.
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

from heed.model.training.checkpoint import STATE

VOCABULARY = 100_000
"""Words that are made up; some of the short ones are equal."""
SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprstvz" for vowel in "aeiou"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the rows, train on them, tell the peak."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows to train on")
    parser.add_argument("--words", type=int, default=50, help="words of each row")
    parser.add_argument("--classes", type=int, default=4, help="labels")
    parser.add_argument("--seconds", type=float, default=60, help="to go on after the first save")
    asked, options = parser.parse_known_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        data = write_rows(Path(folder) / "rows.csv", asked.rows, asked.words, asked.classes)
        found = vars(asked) | {"file_megabytes": data.stat().st_size // 10**6}
        json.dump(found | watch(data, asked.seconds, options), sys.stdout, indent=2)
    print()


def write_rows(path: Path, rows: int, words: int, classes: int) -> Path:
    """Rows of random words, the same each time; a word's frequency is 1 / its rank (Zipf)."""
    choice = random.Random(5)
    known = ["".join(choice.choices(SYLLABLES, k=choice.randint(1, 4))) for _ in range(VOCABULARY)]
    weights = list(accumulate(1 / rank for rank in range(1, VOCABULARY + 1)))
    with path.open("w", newline="", encoding="utf-8") as file:
        write = csv.writer(file).writerow
        write(("text", "label"))
        for row in range(rows):
            text = choice.choices(known, cum_weights=weights, k=words)
            write((" ".join(text), f"label {row % classes}"))
    return path


def watch(data: Path, seconds: float, options: Sequence[str]) -> dict[str, float]:
    """Train until a save and some seconds more: how long it took, and the most megabytes held."""
    folder = data.parent
    state = folder / "checkpoint" / STATE
    command = [
        *(sys.executable, "-m", "heed", "train", str(data), "--out", str(folder / "bundle")),
        *("--epochs", "1", "--checkpoint", str(state.parent), *options),
    ]
    began = time.monotonic()
    found: dict[str, float] = {}
    told = ""

    def tell(part: str) -> None:
        found[f"seconds_{part}"] = round(time.monotonic() - began, 1)
        found[f"megabytes_{part}"] = most

    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as training:
        assert training.stderr is not None
        try:
            for told in training.stderr:
                if " train and " in told:  # how many rows there are: all are tokenized
                    break
            else:
                raise SystemExit("the training failed: " + told)
            most = peak(training.pid)
            tell("before_updates")
            saved = math.inf
            while training.poll() is None and time.monotonic() < saved + seconds:
                most = max(most, peak(training.pid))
                if saved == math.inf and state.exists():
                    saved = time.monotonic()
                time.sleep(0.2)
            tell("in_all")
        finally:
            training.kill()
    return found


def peak(process: int) -> int:
    """Most megabytes that a process ever held (Linux); 0 for one that has ended."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    lines = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(next(lines, "VmHWM: 0 kB").split()[1]) * 1024 // 10**6


if __name__ == "__main__":
    main()
