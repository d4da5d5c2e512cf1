"""Download the data sets of the shipped bundles: `python -m scripts.fetch_data FOLDER`.

`make train DATA=FOLDER` reads the files. Existing files are not downloaded again. The script needs
internet access and the package `datasets` from the extra `hub`.
"""

import argparse
import csv
import gzip
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from heed.model.data import read_hub_rows
from heed.model.errors import DataError, HeedError

POLARITY = {"neg": "negative", "pos": "positive", "0": "negative", "1": "positive"}
OUT_OF_SCOPE = "oos"
"""Label of the out-of-scope texts in clinc150."""


@dataclass(frozen=True)
class Source:
    """The source of the rows of a file."""

    name: str
    """Name of the public data set, see `heed.model.data.hub`."""
    text: str = "text"
    """Name of the text column."""
    label: str = "label"
    """Name of the label column."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """New names of labels."""
    labels: tuple[str, ...] = ()
    """Labels whose rows are kept. Empty: all except `OUT_OF_SCOPE`."""
    excluded: str | None = None
    """Data set whose texts are left out, as are repeated texts. None: no text is left out."""


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
    "clinc150/oos_dev": Source(f"{_INTENTS}@validation", label="intent", labels=(OUT_OF_SCOPE,)),
    "clinc150/oos_test": Source(f"{_INTENTS}@test", label="intent", labels=(OUT_OF_SCOPE,)),
    "chnsenticorp/train": Source(f"{_CHINESE}@train", renamed=POLARITY),
    "chnsenticorp/dev_clean": Source(
        f"{_CHINESE}@validation", renamed=POLARITY, excluded=f"{_CHINESE}@train"
    ),
    "chnsenticorp/test_clean": Source(
        f"{_CHINESE}@test", renamed=POLARITY, excluded=f"{_CHINESE}@train"
    ),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Download the missing files."""
    parser = argparse.ArgumentParser(prog="python -m scripts.fetch_data", description=__doc__)
    parser.add_argument("folder", type=Path, help="folder to write to")
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
    """Write the rows of a source to a `.csv.gz` with text and label; return their number.

    Raises:
        HeedError: see `read_hub_rows`.
    """
    rows, seen = [], set[str]()
    if source.excluded:
        seen = {
            text for _, text, _ in read_hub_rows(Path(source.excluded), source.text, source.label)
        }
    for _, text, label in read_hub_rows(Path(source.name), source.text, source.label):
        if label is None:
            raise DataError(f"{source.name}: the labels are hidden; name a split with labels")
        label = source.renamed.get(str(label), str(label))
        kept = label in source.labels if source.labels else label != OUT_OF_SCOPE
        if kept and text not in seen:
            rows.append((text.strip(), label))
            if source.excluded:
                seen.add(text)
    write_rows(file, rows)
    return len(rows)


def write_rows(file: Path, rows: Sequence[tuple[str, str]]) -> None:
    """Write texts and labels to a `.csv.gz`; an interrupted run leaves no incomplete file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(".part")
    with gzip.open(temporary, "wt", encoding="utf-8", newline="") as out:
        csv.writer(out, lineterminator="\n").writerows([("text", "label"), *rows])
    temporary.rename(file)


if __name__ == "__main__":
    main()
