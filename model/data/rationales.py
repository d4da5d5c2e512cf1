"""What people marked in a text as the reason for its label, and how well scores agree with it.

Needs no PyTorch. A marked file is `.jsonl` or `.jsonl.gz`. A row has either

- `tokens`, a list of words, and `rationale` or `attention`, as many numbers, 0 and 1 or graded.
  Several people's lists, one in the other, are averaged. Without `tokens` the words are the
  text's, split at white space; without a text it is the words joined by spaces. Or
- `spans`, a list of [start, end) in Unicode code points; the words are then the tokenizer's.

It may also have `token_sentiment`, the polarity of each word from 0 to 4, 2 being neutral, which
is compared where the labels are `negative` and `positive`.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from heed.model.data.files import read_json_objects
from heed.model.data.labelled import LabelledTexts, parse_field
from heed.model.errors import DataError

Floats = NDArray[np.float64]
Span = tuple[int, int]

RATIONALE_FIELDS = ("rationale", "attention", "spans")
RATIONALE_THRESHOLD = 0.5
"""A graded word counts as marked from this share of its text's greatest value."""


@dataclass(frozen=True)
class WordRationales:
    """People's marks on the W words that were read of a text of T tokens."""

    word: NDArray[np.int64]
    """(T,) the word that each token begins in, W where in none."""
    values: Floats
    """(W,) how much each word is marked, none negative."""
    polarity: Floats
    """(W,) above 0 speaks for the text's label, below 0 against it; empty where not known."""

    @property
    def marked(self) -> NDArray[np.bool_]:
        """(W,) which words count as marked."""
        greatest = self.values.max(initial=0.0)
        result: NDArray[np.bool_] = (self.values >= RATIONALE_THRESHOLD * greatest) & (greatest > 0)
        return result

    def sums(self, scores: Floats) -> Floats:
        """Add up the scores of each word's tokens: (T,) to (W,)."""
        total = np.bincount(self.word, scores, minlength=len(self.values) + 1)
        return total[:-1].astype(np.float64)


@dataclass(frozen=True)
class RationaleText:
    """A text and what people marked in it."""

    text: str
    words: list[Span]
    """Where the words stand that `values` and `polarity` are of; empty: marked by `spans`."""
    values: Floats
    polarity: Floats
    spans: list[Span]

    def align(self, tokens: Sequence[Span], tokenizer_words: Sequence[Span]) -> WordRationales:
        """Find the word of each token that was read; words behind the last token are left out."""
        words: Sequence[Span] = self.words or tokenizer_words
        values: Floats = self.values
        if not self.words:
            overlaps = [any(a < end and start < b for a, b in self.spans) for start, end in words]
            values = np.array(overlaps, dtype=np.float64)
        read = sum(start < tokens[-1][1] for start, _ in words)
        starts = np.array([start for start, _ in tokens])
        word = np.searchsorted([start for start, _ in words[:read]], starts, side="right") - 1
        inside = (word >= 0) & (starts < np.array([end for _, end in words])[word])
        return WordRationales(np.where(inside, word, read), values[:read], self.polarity[:read])


def average_precision(scores: Floats, marks: NDArray[np.bool_]) -> float:
    """Of ranking the marked words first: the mean, over them, of the precision down to each."""
    return float(average_precision_score(marks, scores))


def precision_at_k(scores: Floats, marks: NDArray[np.bool_]) -> float:
    """The share of marked words among the top k, k being how many are marked."""
    top = np.argsort(-scores, kind="stable")[: int(marks.sum())]
    return float(marks[top].mean())


def has_rationales(path: Path) -> bool:
    """Whether `read_rationales` has something to read: a row with marks."""
    if not path.name.lower().removesuffix(".gz").endswith(".jsonl"):
        return False
    try:
        return any(field in row for _, row in read_json_objects(path) for field in RATIONALE_FIELDS)
    except (DataError, OSError, EOFError, zlib.error):
        return False  # `read_labelled` says what is wrong with it


def read_rationales(
    path: Path, text_column: str = "text", label_column: str | None = None
) -> tuple[LabelledTexts, list[RationaleText]]:
    """Read the rows that have a label, as those without have nothing to explain.

    Args:
        path: `.jsonl` or `.jsonl.gz`, see above.
        text_column: where the text is.
        label_column: where the label is; None: `binary` if a row has it, else `label`.

    Raises:
        DataError: the file, or a row of it, cannot be used, or none has a label.
    """
    try:
        rows = list(read_json_objects(path))
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    if label_column is None:
        label_column = "binary" if any("binary" in row for _, row in rows) else "label"
    rows = [(number, row) for number, row in rows if row.get(label_column) is not None]
    if not rows:
        raise DataError(f"{path}: no row has {label_column!r}; name the label with --label-column")
    texts, labels = [], []
    for number, row in rows:
        where = f"{path}, row {number}"
        labels.append(parse_field(row[label_column], label_column, where))
        if row.get(text_column):
            row[text_column] = parse_field(row[text_column], text_column, where)
        try:
            marked = _parse_row(row, text_column, labels[-1])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path}, row {number}: its marks cannot be read: {error}") from error
        parse_field(marked.text, "tokens", where)
        texts.append(marked)
    numbers = [number for number, _ in rows]
    return LabelledTexts(path, [each.text for each in texts], labels, numbers), texts


def _parse_row(row: dict[str, Any], text_column: str, label: str) -> RationaleText:
    none = np.empty(0)
    if row.get("spans") is not None:
        spans = [(int(start), int(end)) for start, end in row["spans"]]
        if not row.get(text_column):
            raise ValueError(f"there is no {text_column!r}")
        return RationaleText(row[text_column], [], none, none, spans)
    text = row.get(text_column) or " ".join(row["tokens"])
    tokens = row.get("tokens") or text.split()
    words = _find(text, tokens)
    if not words:
        text = " ".join(tokens)
        words = _find(text, tokens)
    numbers = next((row[f] for f in RATIONALE_FIELDS if row.get(f) is not None), [0] * len(tokens))
    values = np.asarray(numbers, dtype=np.float64)
    values = values.mean(axis=0) if values.ndim == 2 else values
    polarity = none
    if "token_sentiment" in row and label in {"negative", "positive"}:
        sign = 1 if label == "positive" else -1
        polarity = sign * (np.asarray(row["token_sentiment"], dtype=np.float64) - 2)
    for of_words in (values, polarity):
        if of_words is not none and of_words.shape != (len(words),):
            raise ValueError(f"{of_words.size} numbers for {len(words)} words")
    if not np.isfinite(values).all() or (values < 0).any():
        raise ValueError("a mark is negative or not a finite number")
    return RationaleText(text, words, values, polarity, [])


def _find(text: str, tokens: Sequence[str]) -> list[Span]:
    """Where the tokens stand in the text, one after the other; empty if they do not."""
    words, end = [], 0
    for token in tokens:
        start = text.find(token, end)
        if start < 0:
            return []
        end = start + len(token)
        words.append((start, end))
    return words
