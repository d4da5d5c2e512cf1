"""Where rows are few, training begins as the linear classifier of token counts that fits them best.

A network whose attention is even and whose gates are open is linear in the counts of its tokens, so
that it can start as what convex fitting finds at once, and what stochastic descent on a few hundred
rows does not. From there it learns what counts alone do not tell.
"""

import math

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from model.dataset import Dataset
from model.network import Network

STRENGTHS = (1.0, 10.0, 100.0)
"""Inverse strengths of the regularisation, of which dev chooses."""

UNSEEN = 10.0
"""How far below the others a class begins that has no rows."""


def start_from_linear(network: Network, data: Dataset, dev: Dataset) -> None:
    """Make a fresh network answer as a linear classifier fitted to `data`, with each class's score

        b_c + mean_t idf_t beta[t, c]

    The mean is over a text's tokens, and idf_t = log((1 + N) / (1 + n_t)) + 1 for a token that
    stands in n_t of N texts. Tokens that the rows do not show score 0.

    Args:
        network: as it is made, before any update.
        data: N rows to fit.
        dev: rows that choose the regularisation, by cross-entropy.
    """
    scores, bias = _fit(data, dev, network.config.vocabulary, network.config.classes)
    width = network.config.width
    vectors, head = _factors(torch.from_numpy(scores), width)
    (table,) = network.embedding.parameters()
    gate = torch.tanh(network.pooling.gate.bias)  # (D,), what a token's vector is multiplied by
    with torch.no_grad():
        table.add_(vectors / (gate * math.sqrt(width)))
        network.head.weight.copy_(head)
        network.head.bias.copy_(torch.from_numpy(bias))


def _fit(
    data: Dataset, dev: Dataset, vocabulary: int, classes: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Each token's score for each class (V, C), and the biases (C,)."""
    counts, held_out = _counts(data, vocabulary), _counts(dev, vocabulary)
    texts = np.asarray((counts > 0).sum(axis=0)).ravel()
    idf = np.where(texts > 0, np.log((1 + len(data)) / (1 + texts)) + 1, 0.0)
    best, best_loss = None, math.inf
    for strength in STRENGTHS:
        fitted = LogisticRegression(C=strength, max_iter=200)
        fitted.fit(counts.multiply(idf).tocsr(), data.labels)
        found = fitted.predict_proba(held_out.multiply(idf).tocsr())
        right = found[dev.labels[:, None] == fitted.classes_]  # of a class without rows: none
        loss = -np.log(right.clip(min=1e-12)).sum()
        if loss < best_loss:
            best, best_loss = fitted, loss
    assert best is not None
    weights, bias = best.coef_, best.intercept_
    if len(weights) == 1:  # of two classes it has the second's alone
        weights, bias = np.vstack([-weights, weights]) / 2, np.concatenate([-bias, bias]) / 2
    scores = np.zeros((vocabulary, classes), dtype=np.float32)
    scores[:, best.classes_] = idf[:, None] * weights.T
    biases = np.full(classes, bias.min() - UNSEEN, dtype=np.float32)
    biases[best.classes_] = bias
    return scores, biases


def _counts(data: Dataset, vocabulary: int) -> sp.csr_matrix:
    """How often each token stands in each text, as shares of the text: (N, V)."""
    shares = np.repeat(1 / data.lengths, data.lengths)
    return sp.csr_matrix((shares, data.ids, data.starts), shape=(len(data), vocabulary))


def _factors(scores: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Vectors (V, D) and a head (C, D) whose products are the scores (V, C).

    With more classes than the vectors are wide they are the nearest that there are.
    """
    classes = scores.shape[1]
    if classes <= width:
        directions = torch.linalg.qr(torch.randn(width, classes))[0].T  # (C, D), orthonormal
        return scores @ directions, directions
    left, values, right = torch.linalg.svd(scores, full_matrices=False)
    return left[:, :width] * values[:width], right[:width].T
