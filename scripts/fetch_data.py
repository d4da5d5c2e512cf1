"""Fetch the public sets behind the shipped bundles: `python -m scripts.fetch_data FOLDER`.

Writes them as `make train DATA=FOLDER` reads them. A file that is there already is not fetched
again. It takes a network, and the package `datasets` from the extra `hub`.
"""

import argparse
import csv
import gzip
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from heed.model.data.hub import read_hub_rows
from heed.model.errors import DataError, HeedError

POLARITY = {"neg": "negative", "pos": "positive", "0": "negative", "1": "positive"}
OUTSIDE = "oos"


@dataclass(frozen=True)
class Source:
    """Where the rows of a file come from."""

    name: str
    text: str = "text"
    label: str = "label"
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Labels that are called otherwise here."""
    labels: tuple[str, ...] = ()
    """The only labels whose rows are taken; none: all but `OUTSIDE`."""
    unless_in: str | None = None
    """A set: texts that stand there, or stood above, are left out."""


_CHINESE, _INTENTS = "hf:lansinuote/ChnSentiCorp", "hf:clinc/clinc_oos:plus"

SOURCES: Mapping[str, Source] = {
    "sst2/train_phrases": Source("hf:stanfordnlp/sst2@train", text="sentence"),
    "sst2/dev": Source("hf:SetFit/sst2@validation", label="label_text"),
    "sst2/test": Source("hf:SetFit/sst2@test", label="label_text"),
    "imdb/train": Source("hf:stanfordnlp/imdb@train", renamed=POLARITY),
    "imdb/test": Source("hf:stanfordnlp/imdb@test", renamed=POLARITY),
    "clinc150/train": Source(f"{_INTENTS}@train", label="intent"),
    "clinc150/dev": Source(f"{_INTENTS}@validation", label="intent"),
    "clinc150/test": Source(f"{_INTENTS}@test", label="intent"),
    "clinc150/oos_dev": Source(f"{_INTENTS}@validation", label="intent", labels=(OUTSIDE,)),
    "clinc150/oos_test": Source(f"{_INTENTS}@test", label="intent", labels=(OUTSIDE,)),
    "chnsenticorp/train": Source(f"{_CHINESE}@train", renamed=POLARITY),
    "chnsenticorp/dev_clean": Source(
        f"{_CHINESE}@validation", renamed=POLARITY, unless_in=f"{_CHINESE}@train"
    ),
    "chnsenticorp/test_clean": Source(
        f"{_CHINESE}@test", renamed=POLARITY, unless_in=f"{_CHINESE}@train"
    ),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Fetch what is missing."""
    parser = argparse.ArgumentParser(prog="python -m scripts.fetch_data", description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args(arguments).folder
    try:
        for name, source in SOURCES.items():
            file = folder / f"{name}.csv.gz"
            if not file.exists():
                print(f"{file}: {fetch(source, file):,} rows", file=sys.stderr)
    except HeedError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


def fetch(source: Source, file: Path) -> int:
    """Write the rows of a source to a `.csv.gz` with text and label; returns how many.

    Raises:
        HeedError: see `read_hub_rows`.
    """
    rows, seen = [], set[str]()
    if source.unless_in:
        seen = {
            text for _, text, _ in read_hub_rows(Path(source.unless_in), source.text, source.label)
        }
    for _, text, label in read_hub_rows(Path(source.name), source.text, source.label):
        if label is None:
            raise DataError(f"{source.name}: it hides its labels; name a split that has them")
        label = source.renamed.get(str(label), str(label))
        wanted = label in source.labels if source.labels else label != OUTSIDE
        if wanted and text not in seen:
            rows.append((text.strip(), label))
            if source.unless_in:
                seen.add(text)
    write_rows(file, rows)
    return len(rows)


def write_rows(file: Path, rows: Sequence[tuple[str, str]]) -> None:
    """Write texts and labels to a `.csv.gz`."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".part")
    with gzip.open(draft, "wt", encoding="utf-8", newline="") as out:
        csv.writer(out, lineterminator="\n").writerows([("text", "label"), *rows])
    draft.rename(file)


if __name__ == "__main__":
    main()
