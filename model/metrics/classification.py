"""Metrics of a classifier's probabilities on labelled rows. Needs no PyTorch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support

ECE_BINS = 15
"""Number of equal-width bins of the expected calibration error."""
MAX_CONFUSED_PAIRS = 20
"""Maximum number of pairs that `confused_pairs` returns."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class LabelScores:
    """Scores of one label. A ratio with denominator 0 is 0."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    """Number of rows with the label."""


@dataclass(frozen=True)
class CalibrationBin:
    """The rows whose highest probability is in (low, high]."""

    low: float
    high: float
    n: int
    """Number of rows."""
    confidence: float | None
    """Mean of their highest probabilities; None if there is no row."""
    accuracy: float | None
    """None if there is no row."""


@dataclass(frozen=True)
class ClassificationScores:
    """All metrics of `score_predictions`."""

    n: int
    accuracy: float
    macro_f1: float
    """Mean F1 of the labels that occur in the rows or the predictions."""
    ece: float
    """Expected calibration error, see `expected_calibration_error`."""
    log_loss: float
    """Mean of -ln(probability of the right label), in nats."""
    brier: float
    """Mean squared distance between the probabilities and the one-hot truth, 0 to 2."""
    min_confidence: float | None
    coverage: float
    """Share of rows whose highest probability is at least `min_confidence`; 1 without it."""
    covered_accuracy: float | None
    """Accuracy on those rows; None if there is none."""
    labels: list[LabelScores]
    confusion: list[list[int]]
    """confusion[i][j] is the number of rows of label i that were predicted as label j."""
    reliability: list[CalibrationBin]

    def summary(self) -> dict[str, float]:
        """Return the most important metrics."""
        return {
            "accuracy": self.accuracy,
            "macro_f1": self.macro_f1,
            "ece": self.ece,
            "n": self.n,
        }

    def to_dict(self) -> dict[str, Any]:
        """Return all metrics as JSON types, without NaN and Infinity."""
        nested = {
            "labels": [vars(label) for label in self.labels],
            "reliability": [vars(each) for each in self.reliability],
        }
        return vars(self) | nested

    def confused_pairs(self) -> list[tuple[str, str, int]]:
        """Return the most frequent confusions as (label, predicted label, number of rows)."""
        names = [each.label for each in self.labels]
        pairs = [
            (names[truth], names[predicted], count)
            for truth, row in enumerate(self.confusion)
            for predicted, count in enumerate(row)
            if count and truth != predicted
        ]
        return sorted(pairs, key=lambda pair: -pair[2])[:MAX_CONFUSED_PAIRS]


def score_predictions(
    probabilities: Floats,
    truth: Ints,
    labels: Sequence[str],
    min_confidence: float | None = None,
) -> ClassificationScores:
    """Score predictions against the truth.

    Args:
        probabilities: (n, C), one row for each text; n is at least 1.
        truth: (n,) index of each row's label.
        labels: the C labels.
        min_confidence: below this highest probability the classifier gives no label.
    """
    assert len(truth) > 0
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    right = predicted == truth
    indices = range(len(labels))
    per_label = precision_recall_fscore_support(truth, predicted, labels=indices, zero_division=0)
    bins = reliability(confidence, right)
    of_truth = probabilities[np.arange(len(truth)), truth]
    covered = confidence >= (min_confidence or 0.0)
    # |p - y|² = |p|² - 2 p_truth + 1 for one-hot y
    brier = np.square(probabilities).sum(axis=1) - 2 * of_truth + 1
    return ClassificationScores(
        n=len(truth),
        accuracy=float(right.mean()),
        macro_f1=float(f1_score(truth, predicted, average="macro", zero_division=0)),
        ece=expected_calibration_error(bins),
        log_loss=float(-np.log(np.maximum(of_truth, np.finfo(float).tiny)).mean()),
        brier=float(brier.mean()),
        min_confidence=min_confidence,
        coverage=float(covered.mean()),
        covered_accuracy=float(right[covered].mean()) if covered.any() else None,
        labels=[
            LabelScores(label, float(precision), float(recall), float(f1), int(support))
            for label, precision, recall, f1, support in zip(labels, *per_label, strict=True)
        ],
        confusion=confusion_matrix(truth, predicted, labels=indices).tolist(),
        reliability=bins,
    )


def reliability(confidence: Floats, right: NDArray[np.bool_]) -> list[CalibrationBin]:
    """Sort rows by their highest probability into `ECE_BINS` equal-width bins (low, high]."""
    bin_of_row = np.clip(np.ceil(confidence * ECE_BINS).astype(int) - 1, 0, ECE_BINS - 1)
    bins = []
    for index in range(ECE_BINS):
        inside = bin_of_row == index
        n = int(inside.sum())
        bins.append(
            CalibrationBin(
                index / ECE_BINS,
                (index + 1) / ECE_BINS,
                n,
                float(confidence[inside].mean()) if n else None,
                float(right[inside].mean()) if n else None,
            )
        )
    return bins


def expected_calibration_error(bins: Sequence[CalibrationBin]) -> float:
    """Return the mean over all rows of |accuracy - confidence| of their bin (Guo et al. 2017)."""
    errors = [
        each.n * abs(each.accuracy - each.confidence)
        for each in bins
        if each.accuracy is not None and each.confidence is not None
    ]
    return sum(errors) / sum(each.n for each in bins)
