"""Compute metrics, and fit mixture weights, temperature and threshold on dev."""

from heed.model.metrics.calibration import (
    NETWORK_ONLY,
    Floats,
    Mixture,
    fit_mixture_weights,
    fit_temperature,
)
from heed.model.metrics.classification import (
    CalibrationBin,
    ClassificationScores,
    score_predictions,
)
from heed.model.metrics.threshold import choose_threshold, describe_threshold

__all__ = [
    "NETWORK_ONLY",
    "CalibrationBin",
    "ClassificationScores",
    "Floats",
    "Mixture",
    "choose_threshold",
    "describe_threshold",
    "fit_mixture_weights",
    "fit_temperature",
    "score_predictions",
]
