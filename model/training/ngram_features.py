"""Count n-grams: the sparse feature matrices that the n-gram model is fitted to."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from heed.model.nn import TAGS, NgramConfig, bucket_index, ngram_key
from heed.model.training.dataset import Dataset

Floats = NDArray[np.float32]
MIN_TEXTS = 3
"""Number of texts that a pair or triple must occur in. Rarer ones are left out."""
NO_OWNER = 255
"""Tag of a bucket without an owner. Real tags are smaller than `TAGS`."""


def subsample(data: Dataset, max_tokens: int, seed: int) -> Dataset:
    """Return random texts with at most `max_tokens` tokens in total, at least one per class."""
    if len(data.ids) <= max_tokens:
        return data
    order = np.random.default_rng(seed).permutation(len(data))
    _, first = np.unique(data.labels[order], return_index=True)
    order = np.concatenate([order[first], np.delete(order, first)])
    count = np.searchsorted(np.cumsum(data.lengths[order]), max_tokens, side="right")
    return data.take(order[: max(count, len(first))])


@dataclass(frozen=True)
class NgramIndex:
    """The tokens and n-grams that have a row in the table of an n-gram model."""

    config: NgramConfig
    tokens: NDArray[np.int64]
    """(V',) ids in the order of their rows, padding first."""
    tags: NDArray[np.uint8]
    """(K,) tag of the n-gram that owns each bucket, or `NO_OWNER`."""

    @classmethod
    def build(cls, data: Dataset, config: NgramConfig) -> Self:
        """Return the index with the most frequent tokens and the most informative n-grams.

        A bucket belongs to the n-gram with the largest n_f D_f, see `label_divergence`: half of the
        statistic of a likelihood ratio test (Dunning 1993).
        """
        frequencies = np.bincount(data.ids, minlength=config.vocabulary)
        frequencies[0] = frequencies.max() + 1
        tokens = np.sort(np.argsort(-frequencies, kind="stable")[: config.tokens])
        keys = _ngram_keys(data, config.order)
        distinct, counts = np.unique(keys, return_counts=True)
        distinct = distinct[counts >= MIN_TEXTS]
        tags = np.full(config.buckets, NO_OWNER, dtype=np.uint8)
        if len(distinct):
            columns = np.searchsorted(distinct, keys).clip(max=len(distinct) - 1)
            texts, divergence = label_divergence(
                _count_matrix(data, columns, distinct[columns] == keys, len(distinct)), data.labels
            )
            frequent = texts >= MIN_TEXTS
            # The last assignment to a bucket wins, so the most informative n-gram comes last.
            ascending = distinct[frequent][
                np.argsort((texts * divergence)[frequent], kind="stable")
            ]
            tags[bucket_index(ascending, config.buckets)] = ascending % TAGS
            tags[bucket_index(0, config.buckets)] = NO_OWNER
        return cls(config, tokens, tags)

    @property
    def token_rows(self) -> NDArray[np.int64]:
        """(V,) row of each token; 0, the row of padding, if it has none."""
        rows = np.zeros(self.config.vocabulary, dtype=np.int64)
        rows[self.tokens] = np.arange(len(self.tokens))
        return rows


def count_features(index: NgramIndex, data: Dataset) -> sp.csr_matrix:
    """Return the frequency of each token and n-gram in each text over sqrt(n): (N, V' + K)."""
    keys = _ngram_keys(data, index.config.order)
    buckets = bucket_index(keys, index.config.buckets)
    buckets[index.tags[buckets] != keys % TAGS] = 0
    columns = np.concatenate([buckets, index.token_rows[data.ids][:, None]], axis=1)
    counted = columns != 0
    width = len(index.tokens) + index.config.buckets
    columns %= width
    return _count_matrix(data, columns, counted, width)


def _ngram_keys(data: Dataset, order: int) -> NDArray[np.int64]:
    """Return the keys of the pair, and the triple, that end at each token: (tokens, order - 1)."""
    ids = data.ids.astype(np.int64)
    previous = _shift(ids, data)
    keys = [ngram_key(previous, ids)]
    if order > 2:
        keys.append(ngram_key(previous, ids, _shift(previous, data)))
    return np.stack(keys, axis=1)


def _count_matrix(
    data: Dataset, columns: NDArray[np.int64], counted: NDArray[np.bool_], width: int
) -> sp.csr_matrix:
    """Return how often each column occurs in each text over sqrt(n), (N, width).

    Args:
        data: the texts.
        columns: (tokens, F) column of each feature at each token.
        counted: (tokens, F) True for each feature to add to the counts; the others are ignored.
        width: number of columns.
    """
    value = np.repeat(data.lengths**-0.5, data.lengths).astype(np.float32)
    values = np.broadcast_to(value[:, None], columns.shape)[counted]
    ends = np.cumsum(counted.sum(axis=1))
    starts = np.append(0, ends)[data.starts]
    matrix = sp.csr_matrix((values, columns[counted], starts), shape=(len(data), width))
    matrix.sum_duplicates()
    return matrix


def _shift(ids: NDArray[np.int64], data: Dataset) -> NDArray[np.int64]:
    """Return the value at the previous token of the same text; 0 at the first token."""
    previous = np.roll(ids, 1)
    previous[data.starts[:-1]] = 0
    return previous


def feature_weights(counts: sp.csr_matrix, labels: NDArray[np.int64], power: float) -> Floats:
    """Return the weight of each feature of counts (N, F). Informative features weigh more.

    w_f = idf_f D_f^power, see `label_divergence`, with idf_f = log((1 + N) / (1 + n_f)) + 1. The
    weights are scaled so that the rows have the same mean square as with idf alone.
    """
    texts, divergence = label_divergence(counts, labels)
    idf = np.log((1 + counts.shape[0]) / (1 + texts)) + 1
    weights = idf * divergence**power
    squares = counts.power(2).sum(axis=0).A1
    scale = np.sqrt(squares @ idf**2 / (squares @ weights**2))
    scaled: Floats = (weights * scale).astype(np.float32)
    return scaled


def label_divergence(
    counts: sp.csr_matrix, labels: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return n_f, the number of texts with each feature of counts (N, F), and D_f.

    D_f is the Kullback-Leibler divergence of the labels of these texts from the labels of all texts
    (supervised term weighting, Debole and Sebastiani 2003; for two classes close to the square of
    the log-count ratio of Wang and Manning 2012). One text per class is added to the n_f, or rare
    features would seem the most informative.
    """
    rows, features = counts.shape
    _, labels = np.unique(labels, return_inverse=True)
    prior = np.bincount(labels) / rows  # (C,)
    one_hot = sp.csr_matrix((np.ones(rows, dtype=np.float32), (labels, np.arange(rows))))
    present = sp.csr_matrix(
        (np.ones_like(counts.data), counts.indices, counts.indptr), counts.shape
    )
    joint = (one_hot @ present).tocoo()  # (C, F): number of texts of a class with a feature
    texts = np.bincount(joint.col, joint.data, minlength=features).astype(np.float64)
    # Ratio of posterior to prior for a class without a text that has the feature.
    unseen = len(prior) / (texts + len(prior))  # (F,)
    ratio = unseen[joint.col] + joint.data / (texts + len(prior))[joint.col] / prior[joint.row]
    baseline = unseen * np.log(unseen)
    terms = prior[joint.row] * (ratio * np.log(ratio) - baseline[joint.col])
    divergence = baseline + np.bincount(joint.col, terms, minlength=features)
    return texts, np.maximum(divergence, 1e-9)


def sum_embeddings(data: Dataset, vectors: Floats) -> Floats:
    """Return the sum of each text's token vectors over sqrt(n): (N, D)."""
    values = np.repeat(data.lengths**-0.5, data.lengths).astype(np.float32)
    shape = (len(data), len(vectors))
    sums: Floats = sp.csr_matrix((values, data.ids, data.starts), shape=shape) @ vectors
    return sums
