"""How good a classifier's probabilities are, measured on labelled rows. Needs no PyTorch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support

ECE_BINS = 15
"""Equal-width bins of the expected calibration error."""
MAX_CONFUSED_PAIRS = 20
"""Confused pairs that are named."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class LabelScores:
    """How one label fared. A ratio whose denominator is 0 is 0."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    """Rows that have the label."""


@dataclass(frozen=True)
class CalibrationBin:
    """The rows whose top probability lies in (low, high]."""

    low: float
    high: float
    n: int
    confidence: float | None
    """Their mean top probability; None where there is no row."""
    accuracy: float | None


@dataclass(frozen=True)
class ClassificationScores:
    """What `score_predictions` found."""

    n: int
    accuracy: float
    macro_f1: float
    """Mean F1 of the labels that occur among the rows or the predictions."""
    ece: float
    log_loss: float
    """Mean of -ln(probability of the right label), in nats."""
    brier: float
    """Mean squared distance of the probabilities from the truth, 0 to 2."""
    min_confidence: float | None
    coverage: float
    """Share of rows whose top probability reaches `min_confidence`; 1 without one."""
    covered_accuracy: float | None
    """Accuracy on those rows; None where there is none."""
    labels: list[LabelScores]
    confusion: list[list[int]]
    """Rows of label i that were given label j."""
    reliability: list[CalibrationBin]

    def summary(self) -> dict[str, float]:
        """The figures that stand for all."""
        return {
            "accuracy": self.accuracy,
            "macro_f1": self.macro_f1,
            "ece": self.ece,
            "n": self.n,
        }

    def to_dict(self) -> dict[str, Any]:
        """Everything, in JSON's own types; never NaN or Infinity."""
        nested = {
            "labels": [vars(label) for label in self.labels],
            "reliability": [vars(each) for each in self.reliability],
        }
        return vars(self) | nested

    def confused_pairs(self) -> list[tuple[str, str, int]]:
        """The label, the label given instead and how often: the most frequent `MAX_CONFUSED_PAIRS` of them."""
        names = [each.label for each in self.labels]
        pairs = [
            (names[truth], names[given], count)
            for truth, row in enumerate(self.confusion)
            for given, count in enumerate(row)
            if count and truth != given
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
        probabilities: (n, C) a row for each text; n is at least 1.
        truth: (n,) the place of each row's label.
        labels: the C labels.
        min_confidence: the top probability below which no label is answered.
    """
    assert len(truth) > 0
    given, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    right = given == truth
    places = range(len(labels))
    of_labels = precision_recall_fscore_support(truth, given, labels=places, zero_division=0)
    bins = reliability(confidence, right)
    of_truth = probabilities[np.arange(len(truth)), truth]
    covered = confidence >= (min_confidence or 0.0)
    # |p - y|² = |p|² - 2 p_truth + 1 for one-hot y
    brier = np.square(probabilities).sum(axis=1) - 2 * of_truth + 1
    return ClassificationScores(
        n=len(truth),
        accuracy=float(right.mean()),
        macro_f1=float(f1_score(truth, given, average="macro", zero_division=0)),
        ece=expected_calibration_error(bins),
        log_loss=float(-np.log(np.maximum(of_truth, np.finfo(float).tiny)).mean()),
        brier=float(brier.mean()),
        min_confidence=min_confidence,
        coverage=float(covered.mean()),
        covered_accuracy=float(right[covered].mean()) if covered.any() else None,
        labels=[
            LabelScores(label, float(precision), float(recall), float(f1), int(support))
            for label, precision, recall, f1, support in zip(labels, *of_labels, strict=True)
        ],
        confusion=confusion_matrix(truth, given, labels=places).tolist(),
        reliability=bins,
    )


def reliability(confidence: Floats, right: NDArray[np.bool_]) -> list[CalibrationBin]:
    """Sort rows into `ECE_BINS` equal bins of their top probability, each (low, high]."""
    places = np.clip(np.ceil(confidence * ECE_BINS).astype(int) - 1, 0, ECE_BINS - 1)
    bins = []
    for place in range(ECE_BINS):
        inside = places == place
        n = int(inside.sum())
        bins.append(
            CalibrationBin(
                place / ECE_BINS,
                (place + 1) / ECE_BINS,
                n,
                float(confidence[inside].mean()) if n else None,
                float(right[inside].mean()) if n else None,
            )
        )
    return bins


def expected_calibration_error(bins: Sequence[CalibrationBin]) -> float:
    """Mean over the rows of |accuracy - confidence| of the bin they lie in (Guo et al. 2017)."""
    offset_map = [
        each.n * abs(each.accuracy - each.confidence)
        for each in bins
        if each.accuracy is not None and each.confidence is not None
    ]
    return sum(offset_map) / sum(each.n for each in bins)
