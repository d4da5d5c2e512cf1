"""Set rows aside for dev: `python -m scripts.hold_out FILE COUNT OUT`.

Draws them at random, the same each time. `heed train FILE --dev OUT` then does not learn them.
"""

import argparse
import random
import sys
from collections.abc import Sequence
from pathlib import Path

from heed.model.data.labelled import read_labelled
from heed.model.errors import DataError, HeedError
from scripts.fetch_data import write_rows


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the rows drawn, in the order of the file, as a `.csv.gz` with text and label."""
    parser = argparse.ArgumentParser(prog="python -m scripts.hold_out", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("count", type=int)
    parser.add_argument("out", type=Path)
    asked = parser.parse_args(arguments)
    try:
        set_aside(asked.file, asked.count, asked.out)
    except HeedError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


def set_aside(file: Path, count: int, out: Path) -> None:
    """Raises `DataError` where the file cannot be read, or has too few rows."""
    rows = read_labelled(file)
    if not 0 < count < len(rows.texts):
        raise DataError(f"{file}: {count} rows of {len(rows.texts)} cannot be set aside")
    drawn = rows.take(sorted(random.Random(0).sample(range(len(rows.texts)), count)))
    write_rows(out, list(zip(drawn.texts, drawn.labels, strict=True)))


if __name__ == "__main__":
    main()
