"""Draw dev rows from a file: `python -m scripts.hold_out FILE COUNT OUT`.

The rows are random and equal in each run. `heed train FILE --dev OUT` leaves them out of training.
"""

import argparse
import random
import sys
from collections.abc import Sequence
from pathlib import Path

from heed.model.data import read_labelled
from heed.model.errors import DataError, HeedError
from scripts.fetch_data import write_rows

SEED = 0


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the drawn rows as a `.csv.gz` with text and label, in the order of the file."""
    parser = argparse.ArgumentParser(prog="python -m scripts.hold_out", description=__doc__)
    parser.add_argument("file", type=Path, help="file of labelled texts")
    parser.add_argument("count", type=int, help="number of rows to draw")
    parser.add_argument("out", type=Path, help="file to write")
    options = parser.parse_args(arguments)
    try:
        set_aside(options.file, options.count, options.out)
    except HeedError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


def set_aside(file: Path, count: int, out: Path) -> None:
    """Write `count` random rows of a file to another one.

    Raises:
        DataError: the file cannot be read, or it has too few rows.
    """
    rows = read_labelled(file)
    total = len(rows.texts)
    if not 0 < count < total:
        raise DataError(f"{file}: {count} of {total} rows cannot be held out; choose fewer")
    drawn = rows.take(sorted(random.Random(SEED).sample(range(total), count)))
    write_rows(out, list(zip(drawn.texts, drawn.labels, strict=True)))


if __name__ == "__main__":
    main()
