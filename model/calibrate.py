"""Make probabilities mean what they say: one temperature, fitted on dev (Guo et al. 2017)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

HOTTEST = 20.0


def fit_temperature(logits: NDArray[np.floating[Any]], truth: NDArray[np.int64]) -> float:
    """The T for which softmax(logits / T) has the least cross-entropy.

    The target of a row is 1 - 1 / (N + 2), not 1, as if one more row had been wrong (Platt 1999):
    with a dev set that has no error in it, T would else be 0.

    Args:
        logits: (N, C).
        truth: (N,) the right column of each row.
    """
    rows, classes = logits.shape
    target = np.full((rows, classes), 1 / (rows + 2) / (classes - 1))
    target[np.arange(rows), truth] = 1 - 1 / (rows + 2)
    centred = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)

    def cross_entropy(log_temperature: float) -> float:
        scaled = centred / np.exp(log_temperature)
        normaliser = np.log(np.exp(scaled).sum(axis=1, keepdims=True))
        return float(np.mean(np.sum(target * (normaliser - scaled), axis=1)))

    bounds = (-np.log(HOTTEST), np.log(HOTTEST))
    return float(np.exp(minimize_scalar(cross_entropy, bounds=bounds, method="bounded").x))
