"""Set rows aside for dev: `python -m benchmarks.aside FILE COUNT OUT`.

Draws them at random, the same each time. `heed train FILE --dev OUT` then does not learn them.
"""

import argparse
import random
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from model.data import read_labelled


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the rows drawn, in the order of the file, as a `.csv.gz` with text and label."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.aside", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("count", type=int)
    parser.add_argument("out", type=Path)
    asked = parser.parse_args(arguments)
    rows = read_labelled(asked.file)
    drawn = rows.take(sorted(random.Random(0).sample(range(len(rows.texts)), asked.count)))
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    frame = pl.DataFrame({"text": drawn.texts, "label": drawn.labels})
    frame.write_csv(asked.out, compression="gzip")


if __name__ == "__main__":
    main()
