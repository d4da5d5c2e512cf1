"""Tokenized text for training: compact, and cut where it is too long."""

from itertools import chain, pairwise
from pathlib import Path

import numpy as np

from heed.model.data.labelled import read_labelled
from heed.model.text.tokenizer import Tokenizer
from heed.model.training.dataset import Dataset, tokenize_texts
from tests.support.texts import reviews, write_csv


def test_rows_are_kept_compactly(tmp_path: Path) -> None:
    """Two bytes a token, and each label's text once: what lets a million rows be trained on."""
    rows = read_labelled(write_csv(tmp_path / "rows.csv", reviews(200, seed=3)))
    assert len({id(label) for label in rows.labels}) == len(set(rows.labels)) == 2
    data = tokenize_texts(rows, Tokenizer.fit(rows.texts, 500), ["negative", "positive"], 512)
    assert (data.ids.itemsize, data.starts.itemsize, data.labels.itemsize) == (2, 8, 8)


def test_cut_keeps_the_first_tokens_of_each_text() -> None:
    random = np.random.default_rng(1)
    texts = [random.integers(1, 99, size=n).tolist() for n in (3, 1, 7, 4, 12, 5, 1)]
    starts = np.cumsum([0, *map(len, texts)])
    data = Dataset(np.array(list(chain(*texts)), np.uint16), starts, np.zeros(len(texts), np.int64))
    for most in (1, 4, 5, 12, 40):
        cut = data.cut(most)
        assert [cut.ids[a:b].tolist() for a, b in pairwise(cut.starts)] == [
            text[:most] for text in texts
        ]
