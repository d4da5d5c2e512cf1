"""What dev settles when all is learnt: how two classifiers are mixed, and how sure they may be."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar

MAX_TEMPERATURE = 20.0
Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Mixture:
    """What is multiplied before it is added: logits = bias + network + ngrams.

    One number for each; where long texts have a bag of their own two, for short and for long texts.
    """

    network: Sequence[float]
    ngrams: Sequence[float]
    bias: float


NETWORK_ONLY = Mixture((1.0,), (0.0,), 1.0)
"""Of a network without a linear half."""


def fit_mixture_weights(parts: Sequence[Floats], truth: NDArray[np.int64]) -> list[float]:
    """The w >= 0 for which softmax(sum_k w_k parts_k) has the least cross-entropy.

    Stacking (Wolpert 1992) with a number for each part. To it is added sum_k (w_k - 1/2)^2 / N, so
    that few rows leave all near the half that they have without any.

    Args:
        parts: of each (N, C) logits.
        truth: (N,) the right column of each row.
    """
    stacked = np.stack(parts).astype(np.float64)  # (K, N, C)
    stacked -= stacked.mean(axis=2, keepdims=True)
    target = _target(stacked.shape[1:], truth)

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        mixed = np.tensordot(weights, stacked, axes=1)
        mixed -= mixed.max(axis=1, keepdims=True)
        normaliser = np.log(np.exp(mixed).sum(axis=1, keepdims=True))
        wrong = (np.exp(mixed - normaliser) - target) / len(truth)  # (N, C)
        away = weights - 0.5
        return (
            float((target * (normaliser - mixed)).sum() + away @ away) / len(truth),
            (stacked * wrong).sum(axis=(1, 2)) + 2 * away / len(truth),
        )

    start, bounds = [0.5] * len(parts), [(0.0, MAX_TEMPERATURE)] * len(parts)
    found: list[float] = minimize(
        loss, start, jac=True, bounds=bounds, method="L-BFGS-B"
    ).x.tolist()
    return found


def fit_temperature(logits: Floats, truth: NDArray[np.int64]) -> float:
    """The T for which softmax(logits / T) has the least cross-entropy (Guo et al. 2017).

    Args:
        logits: (N, C).
        truth: (N,) the right column of each row.
    """
    target = _target(logits.shape, truth)
    centred = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)

    def cross_entropy(log_temperature: float) -> float:
        scaled = centred / np.exp(log_temperature)
        normaliser = np.log(np.exp(scaled).sum(axis=1, keepdims=True))
        return float(np.mean(np.sum(target * (normaliser - scaled), axis=1)))

    bounds = (-np.log(MAX_TEMPERATURE), np.log(MAX_TEMPERATURE))
    return float(np.exp(minimize_scalar(cross_entropy, bounds=bounds, method="bounded").x))


def _target(shape: tuple[int, ...], truth: NDArray[np.int64]) -> NDArray[np.float64]:
    """What the probabilities (N, C) of the rows ought to be.

    1 - 1 / (N + 2), not 1, for the right one, as if one more row had been wrong (Platt 1999): with
    a dev set that has no error in it, nothing could else be sure enough.
    """
    rows, classes = shape
    target = np.full((rows, classes), 1 / (rows + 2) / (classes - 1))
    target[np.arange(rows), truth] = 1 - 1 / (rows + 2)
    return target
