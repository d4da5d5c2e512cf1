"""Read rationales: the words that people marked as the reason for a label.

A file with rationales is `.jsonl` or `.jsonl.gz`. Each row has one of two forms:

- `tokens`, a list of words, and `rationale` or `attention`, one number for each word: 0 and 1, or
  graded. The lists of several annotators, nested in one list, are averaged. Without `tokens`, the
  words are those of the text, split at white space. Without a text, the text is the words joined by
  spaces.
- `spans`, a list of [start, end) in Unicode code points. The words are those of the tokenizer.

A row may also have `token_sentiment`, the polarity of each word from 0 to 4 (2 is neutral). It is
used if the labels are `negative` and `positive`.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heed.model.data.files import read_json_objects
from heed.model.data.labelled import LabelledTexts, parse_field
from heed.model.errors import DataError

Floats = NDArray[np.float64]
Span = tuple[int, int]

RATIONALE_FIELDS = ("rationale", "attention", "spans")
RATIONALE_THRESHOLD = 0.5
"""A graded word is a rationale from this share of the greatest value in its text."""


@dataclass(frozen=True)
class WordRationales:
    """The rationale of W words, aligned with the T tokens of the text that were read."""

    word: NDArray[np.int64]
    """(T,) index of the word that each token starts in; W if it starts in none."""
    values: Floats
    """(W,) weight of each word in the rationale, at least 0."""
    polarity: Floats
    """(W,) positive if a word supports the label, negative if it opposes it; empty if unknown."""

    @property
    def is_rationale(self) -> NDArray[np.bool_]:
        """(W,) True for the words that count as rationale, see `RATIONALE_THRESHOLD`."""
        greatest = self.values.max(initial=0.0)
        result: NDArray[np.bool_] = (self.values >= RATIONALE_THRESHOLD * greatest) & (greatest > 0)
        return result

    def sum_by_word(self, scores: Floats) -> Floats:
        """Sum token scores (T,) to word scores (W,)."""
        total = np.bincount(self.word, scores, minlength=len(self.values) + 1)
        return total[:-1].astype(np.float64)


@dataclass(frozen=True)
class RationaleText:
    """A text with its rationale, before alignment with tokens."""

    text: str
    words: list[Span]
    """Spans of the words that `values` and `polarity` describe; empty if `spans` is used."""
    values: Floats
    polarity: Floats
    spans: list[Span]

    def align(self, tokens: Sequence[Span], tokenizer_words: Sequence[Span]) -> WordRationales:
        """Assign tokens to words. Words after the last token are left out.

        Args:
            tokens: spans of the tokens.
            tokenizer_words: spans of the tokenizer's words, used if the rationale is `spans`.
        """
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


def has_rationales(path: Path) -> bool:
    """True if a row of the file has a rationale."""
    if not path.name.lower().removesuffix(".gz").endswith(".jsonl"):
        return False
    try:
        return any(field in row for _, row in read_json_objects(path) for field in RATIONALE_FIELDS)
    except (DataError, OSError, EOFError, zlib.error):
        return False  # `read_labelled` raises the error


def read_rationales(
    path: Path, text_column: str = "text", label_column: str | None = None
) -> tuple[LabelledTexts, list[RationaleText]]:
    """Read the rows that have a label, with their rationales.

    Args:
        path: a `.jsonl` or `.jsonl.gz` file, see above.
        text_column: column of the text.
        label_column: column of the label; None: `binary` if a row has it, else `label`.

    Raises:
        DataError: the file or a row cannot be used, or no row has a label.
    """
    try:
        rows = list(read_json_objects(path))
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}; check the path and the file") from error
    if label_column is None:
        label_column = "binary" if any("binary" in row for _, row in rows) else "label"
    rows = [(number, row) for number, row in rows if row.get(label_column) is not None]
    if not rows:
        raise DataError(f"{path}: no row has {label_column!r}; name the column with --label-column")
    texts, labels = [], []
    for number, row in rows:
        where = f"{path}, row {number}"
        labels.append(parse_field(row[label_column], label_column, where))
        if row.get(text_column):
            row[text_column] = parse_field(row[text_column], text_column, where)
        try:
            text = _parse_row(row, text_column, labels[-1])
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"{where}: its rationale is not valid: {error}") from error
        parse_field(text.text, "tokens", where)
        texts.append(text)
    numbers = [number for number, _ in rows]
    return LabelledTexts(path, [each.text for each in texts], labels, numbers), texts


def _parse_row(row: dict[str, Any], text_column: str, label: str) -> RationaleText:
    empty = np.empty(0)
    if row.get("spans") is not None:
        spans = [(int(start), int(end)) for start, end in row["spans"]]
        if not row.get(text_column):
            raise ValueError(f"spans need a {text_column!r}")
        return RationaleText(row[text_column], [], empty, empty, spans)
    text = row.get(text_column) or " ".join(row["tokens"])
    tokens = row.get("tokens") or text.split()
    words = _locate(text, tokens)
    if not words:
        text = " ".join(tokens)
        words = _locate(text, tokens)
    numbers = next((row[f] for f in RATIONALE_FIELDS if row.get(f) is not None), [0] * len(tokens))
    values = np.asarray(numbers, dtype=np.float64)
    values = values.mean(axis=0) if values.ndim == 2 else values
    polarity = empty
    if "token_sentiment" in row and label in {"negative", "positive"}:
        sign = 1 if label == "positive" else -1
        polarity = sign * (np.asarray(row["token_sentiment"], dtype=np.float64) - 2)
    for of_words in (values, polarity):
        if of_words is not empty and of_words.shape != (len(words),):
            raise ValueError(f"it has {of_words.size} numbers for {len(words)} words")
    if not np.isfinite([*values, *polarity]).all() or (values < 0).any():
        raise ValueError("a number is negative or not finite")
    return RationaleText(text, words, values, polarity, [])


def _locate(text: str, tokens: Sequence[str]) -> list[Span]:
    """Return the spans of the tokens in the text, in order; empty if a token is not found."""
    words, end = [], 0
    for token in tokens:
        start = text.find(token, end)
        if start < 0:
            return []
        end = start + len(token)
        words.append((start, end))
    return words
