"""Read texts with their labels from a file or a public data set.

Errors name the file and the row. In .csv and .tsv the header is row 1, as in a spreadsheet. In
.jsonl the first line is row 1. In .parquet and in public data sets the first row is row 1.
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
    """Texts with their labels, in file order."""

    path: Path
    texts: list[str]
    labels: list[str]
    rows: Sequence[int]
    """Row number of each text in its file."""
    files: Sequence[Path] | None = None
    """The file of each text; None: all texts are from `path`."""

    @property
    def sources(self) -> list[Path]:
        """The files of the texts, each once."""
        return list(dict.fromkeys(self.files or [self.path]))

    def source(self, position: int) -> Path:
        """Return the file of a text."""
        return self.files[position] if self.files else self.path

    def where(self, position: int) -> str:
        """Return the file and row of a text, as error messages name them."""
        return f"{self.source(position)}, row {self.rows[position]}"

    def take(self, positions: Iterable[int]) -> "LabelledTexts":
        """Return the rows at these positions, in the given order."""
        kept = list(positions)
        return LabelledTexts(
            self.path,
            [self.texts[p] for p in kept],
            [self.labels[p] for p in kept],
            array("q", (self.rows[p] for p in kept)),
            [self.files[p] for p in kept] if self.files else None,
        )


def read_labelled(
    path: Path, text_column: str = "text", label_column: str = "label"
) -> LabelledTexts:
    """Return the texts and labels of a file or a public data set.

    Labels that are not text become text: 1 is "1", true is "true".

    Args:
        path: a .csv, .tsv, .jsonl (each also .gz) or .parquet file in UTF-8; or the name of a
            public data set, see `heed.model.data.hub`. Without a split, its train split is read.
        text_column: name of the column with the texts.
        label_column: name of the column with the labels.

    Raises:
        DataError: the file cannot be read, or a row is not valid.
    """
    name = path.name.lower().removesuffix(".gz")
    reader = next((read for suffix, read in READERS.items() if name.endswith(suffix)), None)
    if is_hub_dataset(path):
        reader = read_hub_rows
    elif reader is None or path.name.lower().endswith(".parquet.gz"):
        raise DataError(
            f"{path}: unknown kind of file; use .csv, .tsv, .jsonl (each also .gz) or .parquet, or "
            "name a public data set as hf:NAME"
        )
    texts: list[str] = []
    labels: list[str] = []
    rows = array("q")
    interned: dict[str, str] = {}  # one string object per label saves memory
    try:
        for row, text, label in reader(path, text_column, label_column):
            where = f"{path}, row {row}"
            texts.append(parse_field(text, text_column, where))
            label = parse_field(label, label_column, where)
            labels.append(interned.setdefault(label, label))
            rows.append(row)
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(f"{path}: cannot be read: {reason}") from error
    if not texts:
        raise DataError(f"{path}: no rows; write one text and its label on each row")
    return LabelledTexts(path, texts, labels, rows)


def concatenate(parts: Sequence[LabelledTexts]) -> LabelledTexts:
    """Return the rows of several files as one."""
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
    """Return the texts of a file without reading labels; each label is "".

    Raises:
        DataError: see `read_labelled`.
    """
    rows = read_labelled(path, text_column, text_column)
    return replace(rows, labels=[""] * len(rows.texts))


def stratified_split(
    labelled: LabelledTexts, fraction: float, seed: int
) -> tuple[LabelledTexts, LabelledTexts]:
    """Split rows into two parts: (remaining rows, held-out rows).

    About `fraction` of the rows of each label are held out, and at least one. All rows with the
    same text go to the same part. If every text of a label has more rows than that share, the rows
    of its rarest text are held out. A label with only one distinct text is not held out, nor is a
    text with several labels.

    Raises:
        DataError: no row can be held out.
    """
    rows_of_text = Counter(labelled.texts)
    rows_of_label = Counter(labelled.labels)
    distinct = dict.fromkeys(zip(labelled.texts, labelled.labels, strict=True))
    labels_of_text = Counter(text for text, _ in distinct)
    texts_of_label: dict[str, list[str]] = {label: [] for label in sorted(rows_of_label)}
    for text, label in distinct:
        if labels_of_text[text] == 1:
            texts_of_label[label].append(text)
    random = np.random.default_rng(seed)
    held_out: set[str] = set()
    for label, texts in texts_of_label.items():
        count = min(max(1, round(fraction * rows_of_label[label])), rows_of_label[label] - 1)
        shuffled = [texts[index] for index in random.permutation(len(texts))]
        rarest = min(shuffled, key=rows_of_text.__getitem__, default=None)
        if rarest is not None and count < rows_of_text[rarest] < rows_of_label[label]:
            count = rows_of_text[rarest]
        for text in shuffled:
            if rows_of_text[text] <= count:
                held_out.add(text)
                count -= rows_of_text[text]
    if not held_out:
        raise DataError(
            f"{labelled.path}: no row can be set aside for dev, because each label has one row or "
            "one distinct text; add rows, or name a file with --dev"
        )
    positions = range(len(labelled.texts))
    return (
        labelled.take(p for p in positions if labelled.texts[p] not in held_out),
        labelled.take(p for p in positions if labelled.texts[p] in held_out),
    )


def label_ids(labelled: LabelledTexts, labels: Sequence[str]) -> NDArray[np.int64]:
    """Return the index in `labels` of each row's label, shape (rows,).

    Raises:
        DataError: the label of a row is not in `labels`.
    """
    index_of = {label: index for index, label in enumerate(labels)}
    for position, label in enumerate(labelled.labels):
        if label not in index_of:
            known = ", ".join(labels[:10]) + (", …" if len(labels) > 10 else "")
            raise DataError(
                f"{labelled.where(position)}: unknown label {label!r}; the labels of the training "
                f"data are {known}"
            )
    return np.array([index_of[label] for label in labelled.labels], dtype=np.int64)


def count_shared_texts(labelled: LabelledTexts, other: LabelledTexts) -> int:
    """Return the number of rows whose text is also in `other`."""
    texts = set(other.texts)
    return sum(text in texts for text in labelled.texts)


def remove_shared_texts(labelled: LabelledTexts, other: LabelledTexts) -> LabelledTexts:
    """Return the rows whose text is not in `other`.

    A label that would have no row left keeps all of its rows.
    """
    shared = set(other.texts)
    labels_left = {
        label
        for text, label in zip(labelled.texts, labelled.labels, strict=True)
        if text not in shared
    }
    return labelled.take(
        p
        for p, text in enumerate(labelled.texts)
        if text not in shared or labelled.labels[p] not in labels_left
    )


def parse_field(value: Any, column: str, where: str) -> str:
    """Return a field of a row as text.

    Args:
        value: the field as the reader of the file returns it.
        column: its column, for the error message.
        where: its file and row, for the error message.

    Raises:
        DataError: the field is missing, empty or not a single text.
    """
    if isinstance(value, bool):
        value = "true" if value else "false"
    if isinstance(value, (list, dict, bytes)):
        raise DataError(
            f"{where}: {column!r} is not a single text; write one text and one label on each row"
        )
    if value is None or value != value:  # NaN, which many tools write for a missing value
        raise DataError(f"{where}: {column!r} is missing; fill it in or remove the row")
    text = str(value)
    if not text.strip():
        raise DataError(f"{where}: {column!r} is empty; fill it in or remove the row")
    if not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
        raise DataError(
            f"{where}: {column!r} contains a lone surrogate (half of a character); write the whole "
            "character"
        )
    return text
