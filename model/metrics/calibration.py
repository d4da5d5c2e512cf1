"""Fit mixture weights and the temperature on dev logits, after training."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar

MAX_TEMPERATURE = 20.0
"""Upper bound of the temperature, and of each mixture weight."""
Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Mixture:
    """Weights of the two models: logits = bias * b + network * attention model + ngrams * n-grams.

    `network` and `ngrams` have one weight, or two if long texts have an n-gram model of their own:
    the first for short texts, the second for long ones.
    """

    network: Sequence[float]
    """Weight of the attention model's logits."""
    ngrams: Sequence[float]
    """Weight of the n-gram model's logits."""
    bias: float
    """Weight of the bias."""


NETWORK_ONLY = Mixture((1.0,), (0.0,), 1.0)
"""For a network without an n-gram model."""


def fit_mixture_weights(logits: Sequence[Floats], truth: NDArray[np.int64]) -> list[float]:
    """Return the w >= 0 that minimise the cross-entropy of softmax(sum_k w_k logits_k).

    Stacking (Wolpert 1992). The penalty sum_k (w_k - 1/2)^2 / N keeps all weights near 1/2 if there
    are few rows.

    Args:
        logits: (N, C) logits of each of the K models.
        truth: (N,) index of the right label of each row.
    """
    stacked = np.stack(logits).astype(np.float64)  # (K, N, C)
    stacked -= stacked.mean(axis=2, keepdims=True)
    target = _target(stacked.shape[1:], truth)

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        mixed = np.tensordot(weights, stacked, axes=1)
        mixed -= mixed.max(axis=1, keepdims=True)
        log_sum = np.log(np.exp(mixed).sum(axis=1, keepdims=True))
        error = (np.exp(mixed - log_sum) - target) / len(truth)  # (N, C)
        from_half = weights - 0.5
        return (
            float((target * (log_sum - mixed)).sum() + from_half @ from_half) / len(truth),
            (stacked * error).sum(axis=(1, 2)) + 2 * from_half / len(truth),
        )

    start, bounds = [0.5] * len(logits), [(0.0, MAX_TEMPERATURE)] * len(logits)
    fitted: list[float] = minimize(
        loss, start, jac=True, bounds=bounds, method="L-BFGS-B"
    ).x.tolist()
    return fitted


def fit_temperature(logits: Floats, truth: NDArray[np.int64]) -> float:
    """Return the T that minimises the cross-entropy of softmax(logits / T) (Guo et al. 2017).

    Args:
        logits: (N, C).
        truth: (N,) index of the right label of each row.
    """
    target = _target(logits.shape, truth)
    centred = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)

    def cross_entropy(log_temperature: float) -> float:
        scaled = centred / np.exp(log_temperature)
        log_sum = np.log(np.exp(scaled).sum(axis=1, keepdims=True))
        return float(np.mean(np.sum(target * (log_sum - scaled), axis=1)))

    bounds = (-np.log(MAX_TEMPERATURE), np.log(MAX_TEMPERATURE))
    return float(np.exp(minimize_scalar(cross_entropy, bounds=bounds, method="bounded").x))


def _target(shape: tuple[int, ...], truth: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return smoothed target probabilities (N, C): 1 - 1 / (N + 2) for the right label.

    Platt 1999. With a target of 1, a dev set without errors would push the temperature to its lower
    bound.
    """
    rows, classes = shape
    target = np.full((rows, classes), 1 / (rows + 2) / (classes - 1))
    target[np.arange(rows), truth] = 1 - 1 / (rows + 2)
    return target
