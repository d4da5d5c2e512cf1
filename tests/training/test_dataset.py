"""Tokenized texts: compact, cut, batched, and with word dropout."""

from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from heed.model.data.labelled import read_labelled
from heed.model.errors import DataError
from heed.model.text.tokenizer import Tokenizer
from heed.model.training.dataset import (
    NO_LABEL,
    Dataset,
    compact_rows,
    sample_kept_tokens,
    token_dropout_probabilities,
    tokenize_rows,
    tokenize_texts,
)
from tests.support.texts import reviews, write_csv


@pytest.fixture(scope="module")
def dataset(train_csv: Path) -> Dataset:
    rows = read_labelled(train_csv)
    return tokenize_rows(rows, Tokenizer.fit(rows.texts, 1000), ["negative", "positive"], 512)


def test_a_token_takes_two_bytes_and_a_label_is_one_object(tmp_path: Path) -> None:
    rows = read_labelled(write_csv(tmp_path / "rows.csv", reviews(200, seed=3)))
    assert len({id(label) for label in rows.labels}) == len(set(rows.labels)) == 2
    data = tokenize_rows(rows, Tokenizer.fit(rows.texts, 500), ["negative", "positive"], 512)
    assert (data.ids.itemsize, data.starts.itemsize, data.labels.itemsize) == (2, 8, 8)


def test_texts_without_labels_are_marked(dataset: Dataset) -> None:
    tokenizer = Tokenizer.fit(["a film", "a book"], 100)
    data = tokenize_texts(["a book", "film"], tokenizer, 9)
    assert data.labels.tolist() == [NO_LABEL, NO_LABEL]
    assert data.token_ids() == [tokenizer.ids("a book"), tokenizer.ids("film")]
    with pytest.raises(DataError, match="text 2: the text contains no token"):
        tokenize_texts(["a book", "\u200d"], tokenizer, 9)


def test_cut_keeps_the_first_tokens_of_each_text() -> None:
    random = np.random.default_rng(1)
    texts = [random.integers(1, 99, size=n).tolist() for n in (3, 1, 7, 4, 12, 5, 1)]
    starts = np.cumsum([0, *map(len, texts)])
    data = Dataset(np.array(list(chain(*texts)), np.uint16), starts, np.zeros(len(texts), np.int64))
    for limit in (1, 4, 5, 12, 40):
        cut = data.cut(limit)
        assert [cut.ids[a:b].tolist() for a, b in pairwise(cut.starts)] == [
            text[:limit] for text in texts
        ]
        assert cut.token_ids() == [text[:limit] for text in texts]


def test_a_batch_is_padded_with_zeros(dataset: Dataset) -> None:
    cut = dataset.cut(3)
    assert cut.lengths.max() == 3
    whole, labels = dataset.batch([5, 9])
    assert (cut.batch([5, 9])[0] == whole[:, :3]).all()
    assert labels.tolist() == [dataset.labels[5], dataset.labels[9]]
    assert (whole[0] != 0).sum() == dataset.lengths[5]


def test_an_epoch_has_every_text_once_and_little_padding(dataset: Dataset) -> None:
    batches = dataset.epoch(8, np.random.default_rng(0))
    assert sorted(np.concatenate(batches)) == list(range(300))
    ids = [dataset.batch(positions)[0] for positions in batches]
    padding = sum(int((batch == 0).sum()) for batch in ids) / sum(batch.numel() for batch in ids)
    assert padding < 0.1
    assert len(dataset.epoch(7, np.random.default_rng(0))) == 43


def test_word_dropout_keeps_the_order_and_at_least_one_token(dataset: Dataset) -> None:
    ids, _ = dataset.batch(list(range(64)))
    random = np.random.default_rng(0)
    size = int(dataset.ids.max()) + 1
    for probabilities in (np.zeros(size), np.ones(size)):
        kept = sample_kept_tokens(ids, probabilities, random)
        assert torch.equal(compact_rows(ids, kept), ids)
    for share in (0.1, 0.9):
        kept = sample_kept_tokens(ids, np.full(size, share), random)
        after = compact_rows(ids, kept)
        pairs = compact_rows(torch.stack([ids, -ids], dim=2), kept)
        assert torch.equal(pairs, torch.stack([after, -after], dim=2))
        for before, row in zip(ids.tolist(), after.tolist(), strict=True):
            tokens = [token for token in row if token]
            assert tokens
            assert row == tokens + [0] * (len(row) - len(tokens))
            remaining = iter(before)
            assert all(token in remaining for token in tokens)


def test_word_dropout_removes_rare_tokens_more_often() -> None:
    frequencies = np.array([0, 1, 3, 1000])
    rare_only = token_dropout_probabilities(frequencies, 0.0, 3.0)
    assert rare_only == pytest.approx([1, 0.75, 0.5, 3 / 1003])
    share_only = token_dropout_probabilities(frequencies, 0.1, 0.0)
    assert share_only[1:] == pytest.approx([0.1, 0.1, 0.1])
    both = token_dropout_probabilities(frequencies, 0.1, 3.0)
    assert both[2] == pytest.approx(1 - 0.9 * 0.5)
