"""What dev settles when all is learnt: how two classifiers are mixed, and how sure they may be."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar

HOTTEST = 20.0
Floats = NDArray[np.floating[Any]]
Mixture = tuple[float, float]
"""What the logits of two classifiers are multiplied by before they are added."""


def fit_mixture(first: Floats, second: Floats, truth: NDArray[np.int64]) -> Mixture:
    """The a, b >= 0 for which softmax(a first + b second) has the least cross-entropy.

    Stacking (Wolpert 1992) with two numbers. To it is added ((a - 1/2)^2 + (b - 1/2)^2) / N, so
    that few rows leave both near the half that they have without any.

    Args:
        first: (N, C) logits.
        second: (N, C) logits.
        truth: (N,) the right column of each row.
    """
    both = np.stack([first, second]).astype(np.float64)  # (2, N, C)
    both -= both.mean(axis=2, keepdims=True)
    target = _target(first.shape, truth)

    def loss(parts: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        mixed = np.tensordot(parts, both, axes=1)
        mixed -= mixed.max(axis=1, keepdims=True)
        normaliser = np.log(np.exp(mixed).sum(axis=1, keepdims=True))
        wrong = (np.exp(mixed - normaliser) - target) / len(truth)  # (N, C)
        away = parts - 0.5
        return (
            float((target * (normaliser - mixed)).sum() + away @ away) / len(truth),
            (both * wrong).sum(axis=(1, 2)) + 2 * away / len(truth),
        )

    bounds = [(0.0, HOTTEST)] * 2
    ours, theirs = minimize(loss, [0.5, 0.5], jac=True, bounds=bounds, method="L-BFGS-B").x
    return float(ours), float(theirs)


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

    bounds = (-np.log(HOTTEST), np.log(HOTTEST))
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
