"""Fit the n-gram model: logistic regression on n-gram counts and pretrained token vectors."""

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

from heed.model.nn import NgramConfig, NgramModel
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
"""Values of C, tried in this order until the dev loss rises."""
NGRAM_ORDERS = (2, 3)
"""N-gram orders to try. The lowest dev loss decides; on a tie the lower order is used."""
WEIGHT_POWERS = (0.0, 0.25)
"""Powers of `feature_weights` to try. The lowest dev loss decides."""
MIN_LENGTH_RATIO = 4
"""Long texts may get a table of their own if the 90th percentile of the lengths is at least this
many times the 10th."""
MAX_ITERATIONS = 100
"""Maximum number of steps of a regression."""
MAX_TOKENS = 8_000_000
"""Maximum number of tokens to fit to: more than a gigabyte of memory. Larger data is sampled."""
MAX_TERMS = 32_000_000
"""Maximum of tokens times labels, which bounds the time."""
MAX_LABELS = 2_000
"""With more labels there is no n-gram model: its table has too few rows to separate them, and the
regression takes gigabytes."""
MAX_PRODUCTS = 256_000_000
"""Maximum of rows times labels times dimensions of the token vectors, which bounds the time."""
MAX_VECTOR_NUMBERS = 32_000_000
"""Maximum of rows times dimensions of the token vectors: 40 bytes of memory each."""
MANY_ROWS_PER_LABEL = 2_000
"""From this many rows per label on, the pretrained vectors get a smaller scale."""


def prior_scale(rows: int, classes: int) -> float:
    """Return the scale of the pretrained vectors relative to the n-gram counts.

    A larger scale makes the regression rely on the vectors more. With many rows, the counts alone
    are reliable, and the attention network learns from the vectors as well.
    """
    return 4.0 if rows < MANY_ROWS_PER_LABEL * classes else 1.0


def fit_ngrams(
    config: NgramConfig,
    data: Dataset,
    dev: Dataset,
    initial_embeddings: Tensor | None = None,
    weights: Sequence[float] | None = None,
    seed: int = 0,
) -> NgramModel:
    """Fit the n-gram model. The logit of class c for a text of n tokens is

        b_c + (1 / sqrt(n)) sum_t (u_t beta[t, c] + u_p gamma[p, c] + v_t . w_c)

    p is the pair that ends at token t, and with order 3 the triple as well, if it has a row (see
    `NgramIndex`). u is the weight of a token or n-gram (`feature_weights`). v_t is the pretrained
    vector of the token, if there is one: it gives weights to tokens that the training rows do not
    contain. A token without a row has weight 0. The dev loss decides the order, the power of the
    feature weights and the regularisation.

    If the lengths of the texts differ by `MIN_LENGTH_RATIO`, a second table is fitted to the long
    texts only: those longer than the geometric mean of the 10th and 90th percentile. Two tables are
    used if they have a lower dev loss than one. Their regressions have no bias, because the logit
    has one bias for texts of all lengths, and each is chosen on the dev texts of its lengths.

    Args:
        config: sizes of the model; `lengths` and `order` are chosen here.
        data: rows to fit.
        dev: rows that the dev loss is computed on.
        initial_embeddings: (V, D) pretrained token vectors, principal components first; None: none.
        weights: loss weight of each class; None: equal weights.
        seed: random seed for sampling rows if there are too many.
    """
    scale = prior_scale(len(data), config.classes)
    data = subsample(data, min(MAX_TOKENS, MAX_TERMS // config.classes), seed)
    vectors = np.zeros((config.vocabulary, 0), dtype=np.float32)
    if initial_embeddings is not None:
        numbers = min(MAX_PRODUCTS // config.classes, MAX_VECTOR_NUMBERS)
        vectors = initial_embeddings[:, : max(1, numbers // len(data))].numpy()

    def fit(index: NgramIndex, rows: Dataset, held_out: Dataset, *, bias: bool = True) -> _Table:
        return _fit_table(index, rows, held_out, vectors, scale, weights, with_bias=bias)

    tables = [
        fit(NgramIndex.build(data, replace(config, order=order)), data, dev)
        for order in NGRAM_ORDERS
    ]
    best = min(tables, key=attrgetter("loss"))
    single = _quantise(best.index, [best])
    low, high = np.percentile(data.lengths, (10, 90)).round().tolist()
    limit = round(math.sqrt(low * high))
    long_data, long_dev = (rows.take(np.flatnonzero(rows.lengths > limit)) for rows in (data, dev))
    short_dev = dev.take(np.flatnonzero(dev.lengths <= limit))
    classes = len(np.unique(data.labels))
    if (
        high < MIN_LENGTH_RATIO * low
        or len(np.unique(long_data.labels)) < classes
        or not (len(short_dev) and len(long_dev))
    ):
        return single
    by_length = [
        fit(best.index, data, short_dev, bias=False),
        fit(best.index, long_data, long_dev, bias=False),
    ]
    double = _quantise(best.index, by_length, (limit, high))
    return min(single, double, key=lambda ngrams: _dev_loss(ngrams, dev))


@dataclass(frozen=True)
class _Table:
    """A fitted table before quantisation."""

    index: NgramIndex
    weights: Floats  # (V' + K, C), see `NgramModel.table`
    bias: Floats  # (C,)
    loss: float
    """Dev loss."""


def _dev_loss(ngrams: NgramModel, dev: Dataset) -> float:
    return F.cross_entropy(predict_logits(ngrams, dev), torch.from_numpy(dev.labels)).item()


def _fit_table(
    index: NgramIndex,
    data: Dataset,
    dev: Dataset,
    vectors: Floats,
    prior: float,
    class_weights: Sequence[float] | None,
    *,
    with_bias: bool,
) -> _Table:
    config = index.config
    vectors = np.where((index.token_rows == 0)[:, None], 0, vectors)  # no row for their weight
    if vectors.shape[1]:
        sums = sum_embeddings(data, vectors)
        vectors = prior * vectors / np.sqrt(np.square(sums).sum(axis=1).mean())
    counts = count_features(index, data)
    seen = np.unique(counts.indices)
    counts, dev_counts = counts[:, seen], count_features(index, dev)[:, seen]
    sums, dev_sums = sum_embeddings(data, vectors), sum_embeddings(dev, vectors)
    loss, regression, factors = math.inf, None, None
    for power in WEIGHT_POWERS:
        weighting = sp.diags(feature_weights(counts, data.labels, power))
        features, dev_features = (
            sp.hstack([part @ weighting, part_sums]).tocsr()
            for part, part_sums in ((counts, sums), (dev_counts, dev_sums))
        )
        new_loss, fitted = _fit_regression(
            features, data.labels, dev_features, dev.labels, class_weights, with_bias
        )
        if new_loss < loss:
            loss, regression, factors = new_loss, fitted, weighting
    assert regression is not None
    coefficients = regression.coef_
    bias = np.broadcast_to(regression.intercept_, len(coefficients))
    if len(coefficients) == 1:  # for two classes scikit-learn has those of the second only
        coefficients = np.vstack([-coefficients, coefficients]) / 2
        bias = np.append(-bias, bias) / 2
    of_counts, of_vectors = np.split(coefficients, [len(seen)], axis=1)
    weights = np.zeros((config.tokens + config.buckets, config.classes), dtype=np.float32)
    weights[np.ix_(seen, regression.classes_)] = factors @ of_counts.T
    weights[: config.tokens, regression.classes_] += vectors[index.tokens] @ of_vectors.T
    biases = np.full(config.classes, bias.min())  # the lowest for a class without a sampled row
    biases[regression.classes_] = bias
    # Centred over the classes, which changes no probability.
    centred = weights - weights.mean(axis=1, keepdims=True)
    return _Table(index, centred, biases - biases.mean(), loss)


def _fit_regression(
    rows: sp.csr_matrix,
    labels: NDArray[np.int64],
    dev: sp.csr_matrix,
    dev_labels: NDArray[np.int64],
    class_weights: Sequence[float] | None,
    with_bias: bool,
) -> tuple[float, Any]:
    """Return the lowest dev loss and its regression, over the regularisation strength C."""
    best, best_loss = None, math.inf
    weight_of = None
    if class_weights is not None:
        weight_of = {label: class_weights[label] for label in np.unique(labels).tolist()}
    for strength in INVERSE_REGULARISATION:
        regression = LogisticRegression(
            C=strength, max_iter=MAX_ITERATIONS, class_weight=weight_of, fit_intercept=with_bias
        )
        # Warnings about convergence and many classes do not matter: the dev loss decides.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            probabilities = regression.fit(rows, labels).predict_proba(dev)
        # A class without rows has no column, and so no probability here.
        of_label = probabilities[dev_labels[:, None] == regression.classes_]
        loss = float(-np.log(of_label.clip(min=1e-12)).sum())
        if loss >= best_loss:
            break
        best, best_loss = regression, loss
    return best_loss, best


def _quantise(
    index: NgramIndex, tables: Sequence[_Table], lengths: tuple[float, float] | None = None
) -> NgramModel:
    """Return the n-gram model with one table, or with those for short and for long texts."""
    weights = np.hstack([table.weights for table in tables])
    scale = np.maximum(np.abs(weights).max(axis=0), 1e-9) / 127
    ngrams = NgramModel(replace(index.config, lengths=lengths))
    for tensor, values in (
        (ngrams.table, np.rint(weights / scale)),
        (ngrams.tags, index.tags),
        (ngrams.token_rows, index.token_rows),
        (ngrams.scale, scale),
        (ngrams.bias, tables[0].bias),
    ):
        tensor.copy_(torch.from_numpy(values))
    return ngrams
