"""The n-gram model: what it learns from, and when it has two tables."""

import numpy as np
import pytest
import torch

from heed.model.nn.ngrams import NgramConfig, NgramModel
from heed.model.training.dataset import Dataset
from heed.model.training.ngram_fitting import MIN_LENGTH_RATIO, fit_ngrams, prior_scale
from heed.model.training.trainer import predict_logits
from tests.support.made_rows import VOCABULARY, flat, make_rows


def accuracy(ngrams: NgramModel, data: Dataset) -> float:
    return float((predict_logits(ngrams, data).argmax(dim=1).numpy() == data.labels).mean())


@pytest.mark.parametrize("classes", [2, 3, 12])
def test_it_learns_from_single_tokens(classes: int) -> None:
    data, dev = make_rows(20 * classes, classes, 0), make_rows(5 * classes, classes, 1)
    ngrams = fit_ngrams(NgramConfig(VOCABULARY, classes), data, dev)
    assert accuracy(ngrams, dev) > 0.95


def test_it_learns_from_the_order_of_two_tokens() -> None:
    random = np.random.default_rng(0)
    labels = np.arange(400) % 2
    ids = random.integers(3, VOCABULARY, (400, 8))
    ids[:, 3], ids[:, 4] = 1 + labels, 2 - labels  # "1 2" or "2 1"
    data, dev = flat(ids[:300], labels[:300]), flat(ids[300:], labels[300:])
    assert accuracy(fit_ngrams(NgramConfig(VOCABULARY, 2), data, dev), dev) > 0.95


def test_it_learns_from_triples() -> None:
    """The label is the parity of three adjacent bits, which no pair determines."""
    random = np.random.default_rng(0)
    bits = random.integers(0, 2, (600, 3))
    ids = random.integers(7, VOCABULARY, (600, 5))
    ids[:, 1:4] = 1 + np.array([0, 2, 4]) + bits
    labels = bits.sum(axis=1) % 2
    data, dev = flat(ids[:400], labels[:400]), flat(ids[400:], labels[400:])
    ngrams = fit_ngrams(NgramConfig(VOCABULARY, 2), data, dev)
    assert ngrams.config.order == 3
    assert accuracy(ngrams, dev) > 0.95
    again = NgramModel.from_state_dict(ngrams.state_dict())
    assert again.config == ngrams.config
    torch.testing.assert_close(predict_logits(again, dev), predict_logits(ngrams, dev))


def rows_of_two_lengths(count: int, seed: int) -> Dataset:
    """Texts of 2 and of 20 tokens. What their first token means depends on the length."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, count)
    lengths = np.where(random.random(count) < 0.5, 20, 2)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    ids = random.integers(3, VOCABULARY, starts[-1]).astype(np.int32)
    ids[starts[:-1]] = 1 + (labels ^ (lengths > 2))
    return Dataset(ids, starts, labels)


def test_a_token_may_have_the_opposite_weight_in_long_texts() -> None:
    train, dev = (rows_of_two_lengths(rows, rows) for rows in (600, 200))
    ngrams = fit_ngrams(NgramConfig(VOCABULARY, 2), train, dev)
    assert ngrams.config.lengths == (6, 20)
    assert accuracy(ngrams, dev) > 0.9
    again = NgramModel.from_state_dict(ngrams.state_dict())
    assert again.config == ngrams.config
    torch.testing.assert_close(predict_logits(again, dev), predict_logits(ngrams, dev))
    alone = [predict_logits(ngrams.scaled(factors), dev) for factors in ([1, 0], [0, 1])]
    torch.testing.assert_close(alone[0] + alone[1] + ngrams.bias, predict_logits(ngrams, dev))
    long = torch.from_numpy(dev.lengths > 2)
    assert (alone[0][long] == 0).all()
    assert (alone[1][~long] == 0).all()


def test_one_table_is_kept_if_few_long_texts_are_not_enough_for_another() -> None:
    """Each of 40 informative tokens is in many short texts and in few long ones."""

    def rows(count: int, seed: int) -> Dataset:
        random = np.random.default_rng(seed)
        lengths = np.where(np.arange(count) % 8 == 0, 10, 2)
        starts = np.concatenate([[0], np.cumsum(lengths)])
        labels = random.integers(0, 2, count)
        ids = random.integers(41, VOCABULARY, starts[-1]).astype(np.int32)
        ids[starts[:-1]] = 1 + labels + 2 * random.integers(0, 20, count)
        return Dataset(ids, starts, labels)

    train, dev = rows(400, 0), rows(400, 1)
    assert np.percentile(train.lengths, 90) >= MIN_LENGTH_RATIO * np.percentile(train.lengths, 10)
    ngrams = fit_ngrams(NgramConfig(VOCABULARY, 2), train, dev)
    assert ngrams.config.lengths is None
    assert accuracy(ngrams, dev) > 0.9


@pytest.mark.parametrize("missing", ["a class", "dev rows"])
def test_one_table_is_kept_if_long_texts_lack_something(missing: str) -> None:
    train, dev = (rows_of_two_lengths(rows, rows) for rows in (600, 200))
    if missing == "a class":
        train.labels[train.lengths > 6] = 0
    else:
        dev = dev.take(np.flatnonzero(dev.lengths == 2))
    assert fit_ngrams(NgramConfig(VOCABULARY, 2), train, dev).config.lengths is None


def test_pretrained_vectors_give_weights_to_tokens_that_no_row_has() -> None:
    """Tokens 1 to 10 mean one class, 11 to 20 the other. The rows have every second of them."""
    random = np.random.default_rng(0)
    vectors = torch.from_numpy(random.normal(0, 0.1, (VOCABULARY, 4)))
    vectors[1:11, 0] += 1
    vectors[11:21, 0] -= 1
    labels = np.arange(200) % 2

    def rows(first: int) -> Dataset:
        informative = first + 2 * random.integers(0, 5, 200) + 10 * labels
        ids = np.stack([informative, *random.integers(21, VOCABULARY, (3, 200))], axis=1)
        return flat(ids, labels)

    seen, unseen = rows(1), rows(2)
    config = NgramConfig(VOCABULARY, 2)
    assert accuracy(fit_ngrams(config, seen, seen, vectors), unseen) > 0.9
    assert accuracy(fit_ngrams(config, seen, seen), unseen) < 0.7


def test_many_rows_lower_the_scale_of_the_pretrained_vectors() -> None:
    few, many = (100, 13_999), (14_000, 10**6)
    assert {prior_scale(rows, 7) for rows in few} == {4}
    assert {prior_scale(rows, 7) for rows in many} == {1}


def test_a_class_without_rows_is_never_predicted() -> None:
    data = make_rows(100, 2, 0)
    ngrams = fit_ngrams(NgramConfig(VOCABULARY, 3), data, data)
    assert set(predict_logits(ngrams, data).argmax(dim=1).tolist()) == {0, 1}
    assert ngrams.bias[2] <= ngrams.bias[:2].min()


def test_padding_contributes_nothing() -> None:
    data = make_rows(60, 3, 0)
    ngrams = fit_ngrams(NgramConfig(VOCABULARY, 3), data, data)
    alone = torch.tensor([[4, 1, 9]])
    padded = torch.tensor([[4, 1, 9, 0, 0], [5, 6, 7, 8, 9]])
    assert (ngrams.contributions(padded)[0, 3:] == 0).all()
    torch.testing.assert_close(ngrams(padded).logits[:1], ngrams(alone).logits)


def test_the_rarest_tokens_have_no_row_if_there_are_many_labels() -> None:
    """With 20,000 labels, 52 tokens have a row, including padding."""
    data = make_rows(100, 2, 0)
    ngrams = fit_ngrams(NgramConfig(VOCABULARY, 20_000), data, data)
    rows = ngrams.token_rows[1:]
    assert sorted(rows[rows > 0].tolist()) == list(range(1, 52))
    without_row = torch.flatten((rows == 0).nonzero()) + 1
    frequencies = np.bincount(data.ids, minlength=VOCABULARY)
    assert frequencies[without_row].max() <= frequencies[1:][(rows > 0).numpy()].min()
    assert accuracy(ngrams, data) > 0.95


def test_a_pair_that_no_text_has_contributes_nothing() -> None:
    random = np.random.default_rng(0)
    labels = np.arange(400) % 2
    ids = random.integers(3, 10, (400, 8))
    ids[:, 3], ids[:, 4] = 1 + labels, 2 - labels
    data = flat(ids, labels)
    ngrams = fit_ngrams(NgramConfig(VOCABULARY, 2), data, data)
    pairs = ngrams.contributions(torch.tensor([[1, 2], [2, 1], [1, 30], [30, 2], [30, 31]]))
    alone = ngrams.contributions(torch.tensor([[2, 30, 1, 30]]))[0] * 2  # n is 4 and not 2
    assert not torch.allclose(pairs[0, 1], alone[0] * 2**-0.5)
    torch.testing.assert_close(pairs[2, 0] * 2**0.5, alone[2])
    torch.testing.assert_close(pairs[3, 1] * 2**0.5, alone[0])
    assert (pairs[4] == 0).all()
