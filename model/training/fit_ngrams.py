"""Fit the linear half: logistic regression on n-grams and what tokens are known to mean."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from heed.model.nn.ngrams import NgramConfig, NgramModel
from heed.model.training.dataset import Dataset
from heed.model.training.ngram_features import (
    Floats,
    NgramIndex,
    count_features,
    feature_weights,
    subsample,
    sum_embeddings,
)
from heed.model.training.trainer import predict_logits

INVERSE_REGULARISATION = (0.1, 1.0, 10.0, 100.0)
"""Inverse strengths of the regularisation, tried in this order until dev gets worse."""
NGRAM_ORDERS = (2, 3)
"""Tokens of the longest n-gram, of which dev chooses; equal ones leave the shorter."""
WEIGHT_POWERS = (0.0, 0.25)
"""How much what tells of the label is worth more, see `feature_weights`, of which dev chooses."""
MIN_LENGTH_RATIO = 4
"""From which on long texts may have a bag of their own: the tokens that a tenth of the rows exceed,
over those that a tenth do not reach."""
MAX_ITERATIONS = 100
"""Most steps down to the least loss."""
MAX_TOKENS = 8_000_000
"""To fit to, which is what takes the memory, over a gigabyte; of more text a part is drawn."""
MAX_TERMS = 32_000_000
"""Tokens times labels, which is what takes the time."""
MAX_LABELS = 2_000
"""Up to which there is a linear half. Of more, its table holds too few rows to tell them apart, and
a regression of a row of each takes gigabytes."""
MAX_PRODUCTS = 256_000_000
"""Rows times labels times numbers of a known vector, of which the first tell most: of time."""
MAX_KNOWN = 32_000_000
"""Rows times such numbers: of memory, 40 bytes each."""
MANY_ROWS_PER_LABEL = 2_000
"""Rows of a class, on average."""


def prior_scale(rows: int, classes: int) -> float:
    """Root mean square of what is known of a text, beside 1 or so of what stands in it.

    The more, the sooner it is learnt from. Many rows tell of words themselves, and then the network
    knows the same as well.
    """
    return 4.0 if rows < MANY_ROWS_PER_LABEL * classes else 1.0


def fit_ngrams(
    sizes: NgramConfig,
    data: Dataset,
    dev: Dataset,
    table: Tensor | None = None,
    weights: Sequence[float] | None = None,
    seed: int = 0,
) -> NgramModel:
    """Fit each class's score of a text of n tokens,

        b_c + (1 / sqrt(n)) sum_t (u_t beta[t, c] + u_p gamma[p, c] + v_t . w_c)

    Here p is the pair that ends at t, and the triple, too, where dev likes that better (`NGRAM_ORDERS`),
    if it has a row (`NgramIndex`); u is what a token, or a pair, is worth beforehand (`feature_weights`),
    of two kinds as dev likes better (`WEIGHT_POWERS`), and v_t, where vectors are given, known, so that
    tokens that the rows do not show say something, too; a token that has no row says nothing.

    Where lengths differ by `MIN_LENGTH_RATIO`, texts longer than the geometric middle of the tenth and the
    ninetieth of a hundred have a bag fitted to them alone, if dev likes two better than one, see
    `NgramModel`. Then neither has a b_c, as the logit has one for texts of all lengths, and the dev
    rows that a bag is for choose for it.

    Args:
        sizes: of what is made, less lengths and longest n-gram.
        data: rows to fit.
        dev: rows that choose the regularisation, the longest n-gram and one bag or two, by
            cross-entropy.
        table: (V, D) what the tokens mean by themselves, principal components in order; None:
            nothing is known of them.
        weights: what a row of each class weighs; None: all alike.
        seed: decides which rows are taken where there are too many.
    """
    belief = prior_scale(len(data), sizes.classes)
    data = subsample(data, min(MAX_TOKENS, MAX_TERMS // sizes.classes), seed)
    known = np.zeros((sizes.vocabulary, 0), dtype=np.float32)
    if table is not None:
        most = max(1, min(MAX_PRODUCTS // sizes.classes, MAX_KNOWN) // len(data))
        known = table[:, :most].numpy()
    tried = [
        _fit_bag(
            NgramIndex.of(data, replace(sizes, longest=longest)), data, dev, known, belief, weights
        )
        for longest in NGRAM_ORDERS
    ]
    best = min(tried, key=attrgetter("loss"))
    one = _quantise(best.rows, [best])
    least, long = np.percentile(data.lengths, (10, 90)).round().tolist()
    short = round(math.sqrt(least * long))
    of_long, dev_of_long = (part.take(np.flatnonzero(part.lengths > short)) for part in (data, dev))
    dev_of_short = dev.take(np.flatnonzero(dev.lengths <= short))
    classes = len(np.unique(data.labels))
    if (
        long < MIN_LENGTH_RATIO * least
        or len(np.unique(of_long.labels)) < classes
        or not (len(dev_of_short) and len(dev_of_long))
    ):
        return one
    both = [
        _fit_bag(best.rows, part, judges, known, belief, weights, with_bias=False)
        for part, judges in ((data, dev_of_short), (of_long, dev_of_long))
    ]
    two = _quantise(best.rows, both, (short, long))
    return min(one, two, key=lambda ngrams: _loss(ngrams, dev))


@dataclass(frozen=True)
class _Bag:
    """A bag before it is rounded."""

    rows: NgramIndex
    scores: Floats  # (V' + K, C), see `Ngrams.table`
    bias: Floats  # (C,)
    loss: float
    """What it costs its dev rows."""


def _loss(ngrams: NgramModel, dev: Dataset) -> float:
    return F.cross_entropy(predict_logits(ngrams, dev), torch.from_numpy(dev.labels)).item()


def _fit_bag(
    rows: NgramIndex,
    data: Dataset,
    dev: Dataset,
    known: Floats,
    belief: float,
    weights: Sequence[float] | None,
    *,
    with_bias: bool = True,
) -> _Bag:
    sizes = rows.sizes
    known = np.where((rows.of_tokens == 0)[:, None], 0, known)  # it has no row for it
    if known.shape[1]:
        known = belief * known / np.sqrt(np.square(sum_embeddings(data, known)).sum(axis=1).mean())
    uses = count_features(rows, data)
    seen = np.unique(uses.indices)
    uses, of_dev = uses[:, seen], count_features(rows, dev)[:, seen]
    means, of_dev_means = sum_embeddings(data, known), sum_embeddings(dev, known)
    loss, fitted, factors = math.inf, None, None
    for power in WEIGHT_POWERS:
        tried = sp.diags(feature_weights(uses, data.labels, power))
        fitted_to, judges = (
            sp.hstack([part @ tried, known_part]).tocsr()
            for part, known_part in ((uses, means), (of_dev, of_dev_means))
        )
        cost, found = _fit(fitted_to, data.labels, judges, dev.labels, weights, with_bias)
        if cost < loss:
            loss, fitted, factors = cost, found, tried
    assert fitted is not None
    coefficients, bias = fitted.coef_, np.broadcast_to(fitted.intercept_, len(fitted.coef_))
    if len(coefficients) == 1:  # of two classes it has the second's alone
        coefficients = np.vstack([-coefficients, coefficients]) / 2
        bias = np.append(-bias, bias) / 2
    own, shared = np.split(coefficients, [len(seen)], axis=1)
    scores = np.zeros((sizes.tokens + sizes.places, sizes.classes), dtype=np.float32)
    scores[np.ix_(seen, fitted.classes_)] = factors @ own.T
    scores[: sizes.tokens, fitted.classes_] += known[rows.tokens] @ shared.T
    biases = np.full(sizes.classes, bias.min())  # of a class that no row was drawn of
    biases[fitted.classes_] = bias
    # What all classes have alike tells nothing.
    return _Bag(rows, scores - scores.mean(axis=1, keepdims=True), biases - biases.mean(), loss)


def _fit(
    rows: sp.csr_matrix,
    labels: NDArray[np.int64],
    dev: sp.csr_matrix,
    truth: NDArray[np.int64],
    weights: Sequence[float] | None,
    with_bias: bool,
) -> tuple[float, Any]:
    """The regression whose strength dev likes best, looked for from the strongest on; its loss."""
    best, best_loss = None, math.inf
    by_class = None if weights is None else {c: weights[c] for c in np.unique(labels).tolist()}
    for strength in INVERSE_REGULARISATION:
        fitted = LogisticRegression(
            C=strength, max_iter=MAX_ITERATIONS, class_weight=by_class, fit_intercept=with_bias
        )
        # Of steps that were too few, and of many labels: dev asks whether it is good, not why.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            found = fitted.fit(rows, labels).predict_proba(dev)
        right = found[truth[:, None] == fitted.classes_]  # of a class without rows: none
        loss = float(-np.log(right.clip(min=1e-12)).sum())
        if loss >= best_loss:
            break
        best, best_loss = fitted, loss
    return best_loss, best


def _quantise(
    rows: NgramIndex, bags: Sequence[_Bag], lengths: tuple[float, float] | None = None
) -> NgramModel:
    """One bag, or that of all rows and that of long texts."""
    scores = np.hstack([bag.scores for bag in bags])
    scale = np.maximum(np.abs(scores).max(axis=0), 1e-9) / 127
    ngrams = NgramModel(replace(rows.sizes, lengths=lengths))
    for tensor, values in (
        (ngrams.table, np.rint(scores / scale)),
        (ngrams.tags, rows.owners),
        (ngrams.rows, rows.of_tokens),
        (ngrams.scale, scale),
        (ngrams.bias, bags[0].bias),
    ):
        tensor.copy_(torch.from_numpy(values))
    return ngrams
