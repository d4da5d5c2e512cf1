"""The linear half: what tokens and pairs of them say by themselves, and how it is mixed in."""

import numpy as np
import pytest
import torch

from heed.model.metrics.calibration import fit_mixture_weights
from heed.model.nn.ngrams import MAX_TABLE_NUMBERS, TAGS, NgramConfig, NgramModel
from heed.model.training.dataset import Dataset
from heed.model.training.fit_ngrams import MIN_LENGTH_RATIO, fit_ngrams, prior_scale
from heed.model.training.trainer import predict_logits
from tests.support.made_rows import VOCABULARY, flat, make_rows


def accuracy(ngrams: NgramModel, data: Dataset) -> float:
    return float((predict_logits(ngrams, data).argmax(dim=1).numpy() == data.labels).mean())


@pytest.mark.parametrize("classes", [2, 3, 40])
def test_it_learns_tokens(classes: int) -> None:
    data, dev = make_rows(20 * classes, classes, 0), make_rows(5 * classes, classes, 1)
    ngrams = fit_ngrams(NgramConfig(VOCABULARY, classes), data, dev)
    assert accuracy(ngrams, dev) > 0.95


def test_it_learns_what_only_the_order_tells() -> None:
    random = np.random.default_rng(0)
    labels = np.arange(400) % 2
    ids = random.integers(3, VOCABULARY, (400, 8))
    ids[:, 3], ids[:, 4] = 1 + labels, 2 - labels  # "1 2" or "2 1"
    data, dev = flat(ids[:300], labels[:300]), flat(ids[300:], labels[300:])
    assert accuracy(fit_ngrams(NgramConfig(VOCABULARY, 2), data, dev), dev) > 0.95


def test_three_tokens_tell_together_what_no_two_of_them_do() -> None:
    """The label is the parity of three bits that stand side by side."""
    random = np.random.default_rng(0)
    bits = random.integers(0, 2, (600, 3))
    ids = random.integers(7, VOCABULARY, (600, 5))
    ids[:, 1:4] = 1 + np.array([0, 2, 4]) + bits
    labels = bits.sum(axis=1) % 2
    data, dev = flat(ids[:400], labels[:400]), flat(ids[400:], labels[400:])
    ngrams = fit_ngrams(NgramConfig(VOCABULARY, 2), data, dev)
    assert ngrams.sizes.longest == 3
    assert accuracy(ngrams, dev) > 0.95
    again = NgramModel.of(ngrams.state_dict())
    assert again.sizes == ngrams.sizes
    torch.testing.assert_close(predict_logits(again, dev), predict_logits(ngrams, dev))


def rows_of_two_lengths(count: int, seed: int) -> Dataset:
    """Token 1 or 2 stands in each text; in those of 20 it means what the other means in 2."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, count)
    lengths = np.where(random.random(count) < 0.5, 20, 2)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    ids = random.integers(3, VOCABULARY, starts[-1]).astype(np.int32)
    ids[starts[:-1]] = 1 + (labels ^ (lengths > 2))
    return Dataset(ids, starts, labels)


def test_a_token_may_say_the_opposite_in_long_texts() -> None:
    train, dev = (rows_of_two_lengths(rows, rows) for rows in (600, 200))
    ngrams = fit_ngrams(NgramConfig(VOCABULARY, 2), train, dev)
    assert ngrams.sizes.lengths == (6, 20)
    assert accuracy(ngrams, dev) > 0.9
    again = NgramModel.of(ngrams.state_dict())
    assert again.sizes == ngrams.sizes
    torch.testing.assert_close(predict_logits(again, dev), predict_logits(ngrams, dev))
    alone = [predict_logits(ngrams.times(only), dev) for only in ([1, 0], [0, 1])]
    torch.testing.assert_close(alone[0] + alone[1] + ngrams.bias, predict_logits(ngrams, dev))
    long = torch.from_numpy(dev.lengths > 2)
    assert (alone[0][long] == 0).all()
    assert (alone[1][~long] == 0).all()


def test_a_single_bag_where_few_long_texts_would_have_to_tell_the_same_again() -> None:
    """Of 40 tokens that tell, each stands in many short texts and in hardly a long one."""

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
    assert ngrams.sizes.lengths is None
    assert accuracy(ngrams, dev) > 0.9


@pytest.mark.parametrize("missing", ["a class", "dev rows"])
def test_a_single_bag_where_long_texts_lack(missing: str) -> None:
    train, dev = (rows_of_two_lengths(rows, rows) for rows in (600, 200))
    if missing == "a class":
        train.labels[train.lengths > 6] = 0
    else:
        dev = dev.take(np.flatnonzero(dev.lengths == 2))
    assert fit_ngrams(NgramConfig(VOCABULARY, 2), train, dev).sizes.lengths is None


def test_known_vectors_tell_of_tokens_that_no_row_has() -> None:
    """Tokens 1 to 10 mean the one, 11 to 20 the other; the rows have every second of them."""
    random = np.random.default_rng(0)
    table = torch.from_numpy(random.normal(0, 0.1, (VOCABULARY, 4)))
    table[1:11, 0] += 1
    table[11:21, 0] -= 1
    labels = np.arange(200) % 2

    def rows(first: int) -> Dataset:
        telling = first + 2 * random.integers(0, 5, 200) + 10 * labels
        ids = np.stack([telling, *random.integers(21, VOCABULARY, (3, 200))], axis=1)
        return flat(ids, labels)

    seen, unseen = rows(1), rows(2)
    sizes = NgramConfig(VOCABULARY, 2)
    assert accuracy(fit_ngrams(sizes, seen, seen, table), unseen) > 0.9
    assert accuracy(fit_ngrams(sizes, seen, seen), unseen) < 0.7


def test_of_many_rows_less_is_believed_beforehand() -> None:
    assert (
        prior_scale(100, 7)
        == prior_scale(13_999, 7)
        > prior_scale(14_000, 7)
        == prior_scale(10**6, 7)
        >= 1
    )


def test_a_class_without_rows_is_never_the_first_choice() -> None:
    data = make_rows(100, 2, 0)
    ngrams = fit_ngrams(NgramConfig(VOCABULARY, 3), data, data)
    assert set(predict_logits(ngrams, data).argmax(dim=1).tolist()) == {0, 1}
    assert ngrams.bias[2] <= ngrams.bias[:2].min()


def test_padding_hands_on_nothing() -> None:
    data = make_rows(60, 3, 0)
    ngrams = fit_ngrams(NgramConfig(VOCABULARY, 3), data, data)
    alone = torch.tensor([[4, 1, 9]])
    padded = torch.tensor([[4, 1, 9, 0, 0], [5, 6, 7, 8, 9]])
    assert (ngrams.say(padded)[0, 3:] == 0).all()
    torch.testing.assert_close(ngrams(padded).logits[:1], ngrams(alone).logits)


@pytest.mark.parametrize("classes", [2, 3, 7, 150, 5000])
def test_the_table_holds_a_million_numbers(classes: int) -> None:
    sizes = NgramConfig(30_000, classes)
    assert 0.9 * MAX_TABLE_NUMBERS < sizes.places * (classes + 1) <= MAX_TABLE_NUMBERS
    assert sizes.places % TAGS
    assert sizes.tokens * classes <= MAX_TABLE_NUMBERS


def test_rare_tokens_have_no_row_where_there_are_too_many() -> None:
    """With 20,000 labels 52 tokens have one, padding among them."""
    data = make_rows(100, 2, 0)
    ngrams = fit_ngrams(NgramConfig(VOCABULARY, 20_000), data, data)
    rows = ngrams.rows[1:]
    assert sorted(rows[rows > 0].tolist()) == list(range(1, 52))
    unlisted = torch.flatten((rows == 0).nonzero()) + 1
    used = np.bincount(data.ids, minlength=VOCABULARY)
    assert used[unlisted].max() <= used[1:][(rows > 0).numpy()].min()
    assert accuracy(ngrams, data) > 0.95


def test_a_pair_that_no_text_had_says_nothing() -> None:
    random = np.random.default_rng(0)
    labels = np.arange(400) % 2
    ids = random.integers(3, 10, (400, 8))
    ids[:, 3], ids[:, 4] = 1 + labels, 2 - labels
    data = flat(ids, labels)
    ngrams = fit_ngrams(NgramConfig(VOCABULARY, 2), data, data)
    said = ngrams.say(torch.tensor([[1, 2], [2, 1], [1, 30], [30, 2], [30, 31]]))
    alone = ngrams.say(torch.tensor([[2, 30, 1, 30]]))[0] * 2  # n is 4 and not 2
    assert not torch.allclose(said[0, 1], alone[0] * 2**-0.5)
    torch.testing.assert_close(said[2, 0] * 2**0.5, alone[2])
    torch.testing.assert_close(said[3, 1] * 2**0.5, alone[0])
    assert (said[4] == 0).all()


def test_the_mixture_trusts_who_is_right() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(0, 3, 500)
    right = 2.0 * np.eye(3)[truth] + random.normal(0, 0.5, (500, 3))
    noise = random.normal(0, 1, (500, 3))
    of_right, of_noise = fit_mixture_weights([right, noise], truth)
    assert of_right > 1
    assert of_noise < 0.2
    assert fit_mixture_weights([noise, right], truth) == pytest.approx(
        [of_noise, of_right], abs=1e-3
    )


def test_few_rows_leave_the_mixture_near_half() -> None:
    truth = np.array([0, 1, 0])
    right = np.eye(2)[truth]
    of_right, of_nothing, of_no_more = fit_mixture_weights([right, 0 * right, 0 * right], truth)
    assert of_nothing == of_no_more == pytest.approx(0.5)
    assert 0.5 < of_right < 1.5
