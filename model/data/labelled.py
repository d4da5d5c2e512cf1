"""Read labelled text from a file, and say exactly which row cannot be used.

Rows are counted as a person finds them. In .csv and .tsv the header is row 1, as a spreadsheet
shows it; in .jsonl a row is a line, the first is 1; in .parquet, and of a public set, the first row
is 1.
"""

import zlib
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heed.model.data.files import READERS
from heed.model.data.hub import is_hub_dataset, read_hub_rows
from heed.model.errors import DataError


@dataclass(frozen=True)
class LabelledTexts:
    """Texts with their labels, in the order of the file."""

    path: Path
    texts: list[str]
    labels: list[str]
    rows: Sequence[int]
    """Where each text stands in its file."""
    files: Sequence[Path] | None = None
    """The file of each text, where they are of several."""

    @property
    def sources(self) -> list[Path]:
        """The files that the texts are of."""
        return list(dict.fromkeys(self.files or [self.path]))

    def source(self, position: int) -> Path:
        """The file of a text."""
        return self.files[position] if self.files else self.path

    def where(self, position: int) -> str:
        """The file and row of a text, to begin an error's sentence with."""
        return f"{self.source(position)}, row {self.rows[position]}"

    def take(self, positions: Iterable[int]) -> "LabelledTexts":
        """Some of the rows, in the order asked for."""
        chosen = list(positions)
        return LabelledTexts(
            self.path,
            [self.texts[p] for p in chosen],
            [self.labels[p] for p in chosen],
            array("q", (self.rows[p] for p in chosen)),
            [self.files[p] for p in chosen] if self.files else None,
        )


def read_labelled(
    path: Path, text_column: str = "text", label_column: str = "label"
) -> LabelledTexts:
    """Read .csv, .tsv, .jsonl (each also .gz) or .parquet, UTF-8, with a text and a label column.

    Or a public set by its name, see `model.hub`; without a split its train split.

    A label that is not text is read as its text: 1 is "1", true is "true".

    Raises:
        DataError: the file cannot be read, or a row of it cannot be used.
    """
    name = path.name.lower().removesuffix(".gz")
    reader = next((read for suffix, read in READERS.items() if name.endswith(suffix)), None)
    if is_hub_dataset(path):
        reader = read_hub_rows
    elif reader is None or path.name.lower().endswith(".parquet.gz"):
        raise DataError(
            f"{path}: unknown kind of file; use .csv, .tsv, .jsonl (each also .gz) or .parquet, or "
            "name a public set as hf:NAME"
        )
    texts: list[str] = []
    labels: list[str] = []
    rows = array("q")
    known: dict[str, str] = {}  # a label's text is kept once, however many rows have it
    try:
        for row, text, label in reader(path, text_column, label_column):
            where = f"{path}, row {row}"
            texts.append(parse_field(text, text_column, where))
            label = parse_field(label, label_column, where)
            labels.append(known.setdefault(label, label))
            rows.append(row)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"{path}: cannot be read: {reason}") from error
    if not texts:
        raise DataError(f"{path}: no rows in it; put one text and its label on each row")
    return LabelledTexts(path, texts, labels, rows)


def concatenate(parts: Sequence[LabelledTexts]) -> LabelledTexts:
    """The rows of several files, one after another."""
    if len(parts) == 1:
        return parts[0]
    return LabelledTexts(
        parts[0].path,
        [text for part in parts for text in part.texts],
        [label for part in parts for label in part.labels],
        array("q", (row for part in parts for row in part.rows)),
        [part.path for part in parts for _ in part.texts],
    )


def read_texts(path: Path, text_column: str = "text") -> LabelledTexts:
    """Read the texts of such a file, whatever labels it may have; here each has the label "".

    Raises:
        DataError: as `read_labelled`.
    """
    found = read_labelled(path, text_column, text_column)
    return replace(found, labels=[""] * len(found.texts))


def stratified_split(
    labelled: LabelledTexts, fraction: float, seed: int
) -> tuple[LabelledTexts, LabelledTexts]:
    """Set aside about `fraction` of every label's rows, at least one of each: (rest, aside).

    All rows of a text go together, so that no text set aside stands in the rest; where each text of
    a label has more rows than that, those of its rarest text go. A label whose rows are all of one
    text stays in the rest, and so does a text that has several labels.

    Raises:
        DataError: no row can be set aside.
    """
    times = Counter(labelled.texts)
    rows_of = Counter(labelled.labels)
    distinct = dict.fromkeys(zip(labelled.texts, labelled.labels, strict=True))
    labels_of = Counter(text for text, _ in distinct)
    texts_of: dict[str, list[str]] = {label: [] for label in sorted(rows_of)}
    for text, label in distinct:
        if labels_of[text] == 1:
            texts_of[label].append(text)
    random = np.random.default_rng(seed)
    aside: set[str] = set()
    for label, texts in texts_of.items():
        wanted = min(max(1, round(fraction * rows_of[label])), rows_of[label] - 1)
        order = [texts[place] for place in random.permutation(len(texts))]
        rarest = min(order, key=times.__getitem__, default=None)
        if rarest is not None and wanted < times[rarest] < rows_of[label]:
            wanted = times[rarest]
        for text in order:
            if times[text] <= wanted:
                aside.add(text)
                wanted -= times[text]
    if not aside:
        raise DataError(
            f"{labelled.path}: no row can be set aside, as every label has one row, or rows of one "
            "text alone; give more rows, or a file with --dev"
        )
    rest = (p for p, text in enumerate(labelled.texts) if text not in aside)
    return labelled.take(rest), labelled.take(
        p for p, text in enumerate(labelled.texts) if text in aside
    )


def label_ids(labelled: LabelledTexts, labels: Sequence[str]) -> NDArray[np.int64]:
    """The place of each row's label in `labels`, shape (rows,).

    Raises:
        DataError: a row has a label that is not among them.
    """
    place = {label: number for number, label in enumerate(labels)}
    for position, label in enumerate(labelled.labels):
        if label not in place:
            known = ", ".join(labels[:10]) + (", …" if len(labels) > 10 else "")
            where = labelled.where(position)
            raise DataError(
                f"{where}: unknown label {label!r}; the labels of the training are {known}"
            )
    return np.array([place[label] for label in labelled.labels], dtype=np.int64)


def count_shared_texts(labelled: LabelledTexts, other: LabelledTexts) -> int:
    """How many rows have a text that also stands in `other`."""
    texts = set(other.texts)
    return sum(text in texts for text in labelled.texts)


def remove_shared_texts(labelled: LabelledTexts, other: LabelledTexts) -> LabelledTexts:
    """The rows whose text is not in `other`, and those of a label that would have none left."""
    known = set(other.texts)
    left = {
        label
        for text, label in zip(labelled.texts, labelled.labels, strict=True)
        if text not in known
    }
    return labelled.take(
        p
        for p, text in enumerate(labelled.texts)
        if text not in known or labelled.labels[p] not in left
    )


def parse_field(value: Any, column: str, where: str) -> str:
    """A field as it is read, `where` it stands; raises `DataError` where it is no text."""
    if isinstance(value, bool):
        value = "true" if value else "false"
    if isinstance(value, (list, dict, bytes)):
        raise DataError(
            f"{where}: {column!r} is not a single text; put one text, and one label, on each row"
        )
    if value is None or value != value:  # NaN, which stands for nothing in many files
        raise DataError(f"{where}: {column!r} is missing; fill it in or take the row out")
    text = str(value)
    if not text.strip():
        raise DataError(f"{where}: {column!r} is empty; fill it in or take the row out")
    if not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
        raise DataError(
            f"{where}: {column!r} holds half a character (a lone surrogate); write it whole"
        )
    return text
