"""Where rows are few, training begins as the linear classifier of tokens that fits them best.

A network whose attention is even and whose gates are open is linear in its tokens' shares, so that
it can start as what convex fitting finds at once, and what stochastic descent on a few hundred rows
does not. From there it learns what single tokens do not tell.
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


def start_from_linear(
    network: Network, data: Dataset, dev: Dataset, table: Tensor | None = None
) -> None:
    """Make a fresh network answer as a linear classifier fitted to `data`, with each class's score

        b_c + mean_t (idf_t beta[t, c] + v_t . w_c)

    The mean is over a text's tokens, and idf_t = log((1 + N) / (1 + n_t)) + 1 for a token that
    stands in n_t of N texts. beta is learnt for each token that the rows show; v_t, where vectors
    are given, is known beforehand, so that tokens that the rows do not show say something, too.

    Args:
        network: as it is made, before any update.
        data: N rows to fit.
        dev: rows that choose the regularisation, by cross-entropy.
        table: (V, D) what the tokens mean by themselves; None: nothing is known of them.
    """
    config = network.config
    known = np.zeros((config.vocabulary, 0)) if table is None else table.double().numpy()
    scores, shared, bias = _fit(data, dev, known, config.classes)
    vectors, head = _factors(torch.from_numpy(scores), torch.from_numpy(shared), config.width)
    if table is not None:  # beside what tells the classes, what a token means remains for context
        rest = table - table @ torch.linalg.pinv(head) @ head
        vectors += rest * (vectors.norm(dim=1).mean() / table.norm(dim=1).mean())
    (weight,) = network.embedding.parameters()
    gate = torch.tanh(network.pooling.gate.bias)  # (D,), what a token's vector is multiplied by
    vectors /= gate * math.sqrt(config.width)
    with torch.no_grad():
        weight.copy_(vectors + weight if table is None else vectors)
        network.head.weight.copy_(head)
        network.head.bias.copy_(torch.from_numpy(bias))


def _fit(
    data: Dataset, dev: Dataset, known: NDArray[np.float64], classes: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Each token's score for each class (V, C), the w_c therein (C, D) and the biases (C,)."""
    vocabulary = len(known)
    shares = _shares(data, vocabulary)
    texts = np.asarray((shares > 0).sum(axis=0)).ravel()
    idf = np.where(texts > 0, np.log((1 + len(data)) / (1 + texts)) + 1, 0.0)
    if known.shape[1]:
        known = known / np.sqrt(np.square(shares @ known).sum(axis=1).mean())
    held_out = _shares(dev, vocabulary)
    rows, dev_rows = (
        sp.hstack([part.multiply(idf), part @ known]).tocsr() for part in (shares, held_out)
    )
    best, best_loss = None, math.inf
    for strength in STRENGTHS:
        fitted = LogisticRegression(C=strength, max_iter=200).fit(rows, data.labels)
        found = fitted.predict_proba(dev_rows)
        right = found[dev.labels[:, None] == fitted.classes_]  # of a class without rows: none
        loss = -np.log(right.clip(min=1e-12)).sum()
        if loss < best_loss:
            best, best_loss = fitted, loss
    assert best is not None
    weights, bias = best.coef_, best.intercept_
    if len(weights) == 1:  # of two classes it has the second's alone
        weights, bias = np.vstack([-weights, weights]) / 2, np.concatenate([-bias, bias]) / 2
    own, shared = weights[:, :vocabulary], weights[:, vocabulary:]
    scores = np.zeros((vocabulary, classes), dtype=np.float32)
    scores[:, best.classes_] = idf[:, None] * own.T + known @ shared.T
    all_shared = np.zeros((classes, known.shape[1]), dtype=np.float32)
    all_shared[best.classes_] = shared
    biases = np.full(classes, bias.min() - UNSEEN, dtype=np.float32)
    biases[best.classes_] = bias
    return scores, all_shared, biases


def _shares(data: Dataset, vocabulary: int) -> sp.csr_matrix:
    """How often each token stands in each text, as shares of the text: (N, V)."""
    shares = np.repeat(1 / data.lengths, data.lengths)
    return sp.csr_matrix((shares, data.ids, data.starts), shape=(len(data), vocabulary))


def _factors(scores: Tensor, shared: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Vectors (V, D) and a head (C, D) whose products are the scores (V, C).

    The head's rows are orthonormal, and the nearest that there are to `shared`, (C, D) or (C, 0).
    With more classes than the vectors are wide the products are the nearest to the scores.
    """
    classes = scores.shape[1]
    if classes <= width:
        near = torch.randn(classes, width)
        if shared.shape[1]:
            near = shared + 1e-3 * shared.norm(dim=1).mean() * near
        left, _, right = torch.linalg.svd(near, full_matrices=False)
        directions = left @ right
        return scores @ directions, directions
    left, values, right = torch.linalg.svd(scores, full_matrices=False)
    return left[:, :width] * values[:width], right[:width].T
