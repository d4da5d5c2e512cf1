"""Rationales in their several forms, and their alignment with tokens."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from heed.model.data.rationales import has_rationales, read_rationales
from heed.model.errors import DataError


def test_token_scores_are_summed_by_word_and_unread_words_are_left_out(tmp_path: Path) -> None:
    row = {"label": "x", "tokens": ["do", "n't", "go"], "rationale": [0, 1, 0]}
    data = tmp_path / "rationales.jsonl"
    data.write_text(json.dumps(row) + "\n", encoding="utf-8")
    rows, (text,) = read_rationales(data)
    assert (rows.texts, rows.labels, list(rows.rows)) == (["do n't go"], ["x"], [1])
    tokens = [(0, 2), (3, 4), (4, 6), (7, 9)]
    rationale = text.align(tokens, [])
    assert rationale.sum_by_word(np.array([1.0, 2, 4, 8])).tolist() == [1, 6, 8]
    assert rationale.is_rationale.tolist() == [False, True, False]
    truncated = text.align(tokens[:3], [])
    assert truncated.is_rationale.tolist() == [False, True]


@pytest.mark.parametrize(
    ("row", "values"),
    [
        ({"text": "a bad film", "rationale": [0, 1, 0]}, [0, 1, 0]),
        ({"text": "a bad film", "attention": [0.1, 0.8, 0.1]}, [0.1, 0.8, 0.1]),
        ({"text": "a bad film", "attention": [[0, 1, 0], [0, 1, 1]]}, [0, 1, 0.5]),
        (
            {"text": "a  bad film", "tokens": ["a", "bad", "film"], "rationale": [0, 1, 0]},
            [0, 1, 0],
        ),
        ({"text": "a bad film", "spans": [[3, 5]]}, [0, 1, 0]),
    ],
)
def test_rationales_are_read_in_every_form(
    tmp_path: Path, row: dict[str, object], values: list[float]
) -> None:
    data = tmp_path / "rationales.jsonl"
    data.write_text(json.dumps(row | {"label": 1}) + "\n", encoding="utf-8")
    assert has_rationales(data)
    _, (text,) = read_rationales(data)
    words = [
        (text.text.index(word), text.text.index(word) + len(word)) for word in ("a", "bad", "film")
    ]
    assert text.align(words, words).values.tolist() == values


@pytest.mark.parametrize(
    "row",
    [
        {"text": "a bad film", "rationale": [0, 1]},
        {"text": "a bad film", "rationale": [0, -1, 0]},
        {"text": "a bad film", "rationale": ["x", 1, 0]},
        {"text": "a bad film", "rationale": [0, math.nan, 0]},
        {"text": "a bad film", "spans": [[3]]},
        {"text": "a bad film", "spans": [[0, math.inf]]},
        {"text": "bad", "rationale": [1], "token_sentiment": [math.nan], "label": "negative"},
        {"text": None, "spans": [[0, 1]]},
        {"rationale": [0, 1, 0]},
    ],
)
def test_an_invalid_rationale_is_an_error_with_its_row(
    tmp_path: Path, row: dict[str, object]
) -> None:
    data = tmp_path / "rationales.jsonl"
    data.write_text(json.dumps({"label": "x"} | row) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"rationales\.jsonl, row 1: its rationale is not valid"):
        read_rationales(data)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"text": ["a"], "spans": []}, "'text' is not a single text"),
        ({"text": "a \ud800", "spans": []}, "'text' contains a lone surrogate"),
        ({"text": "a", "spans": [], "label": [1]}, "'label' is not a single text"),
        ({"tokens": ["a", "\ud800"], "rationale": [1, 0]}, "'tokens' contains a lone surrogate"),
    ],
)
def test_texts_and_labels_are_checked_as_in_other_files(
    tmp_path: Path, row: dict[str, object], message: str
) -> None:
    data = tmp_path / "rationales.jsonl"
    data.write_text(json.dumps({"label": "x"} | row) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=rf"rationales\.jsonl, row 1: {message}"):
        read_rationales(data)
    data.write_text('{"text": "a", "spans": [], "label": true}\n', encoding="utf-8")
    assert read_rationales(data)[0].labels == ["true"]


def test_rows_without_a_label_are_left_out(tmp_path: Path) -> None:
    lines = [
        {"text": "so", "label": "neutral", "tokens": ["so"], "token_sentiment": [2]},
        {"text": "bad", "label": "very negative", "binary": "negative", "rationale": [1],
         "token_sentiment": [0]},
    ]  # fmt: skip
    data = tmp_path / "rationales.jsonl"
    data.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    rows, texts = read_rationales(data)
    assert (rows.labels, list(rows.rows)) == (["negative"], [2])
    assert texts[0].polarity.tolist() == [2], "a negative word supports the label negative"
