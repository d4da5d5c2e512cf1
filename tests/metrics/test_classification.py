"""Metrics of probabilities against the truth, compared with scikit-learn."""

import json

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, f1_score, log_loss

from heed.model.metrics.classification import (
    ECE_BINS,
    expected_calibration_error,
    reliability,
    score_predictions,
)

LABELS = ["a", "b", "c"]


def draw(rows: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return calibrated probabilities, and a truth drawn from them."""
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.full(classes, 0.4), rows)
    truth = np.array([random.choice(classes, p=row) for row in probabilities])
    return probabilities, truth


def test_ece_of_two_bins() -> None:
    """Two bins: 3 rows of confidence .9, one wrong; 1 row of confidence .5, right."""
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.5, 0.5]])
    scores = score_predictions(probabilities, np.array([0, 1, 1, 0]), ["a", "b"])
    assert scores.ece == pytest.approx((3 * abs(2 / 3 - 0.9) + 1 * abs(1 - 0.5)) / 4)
    filled = [each for each in scores.reliability if each.n]
    assert [(each.n, each.accuracy) for each in filled] == [(1, 1.0), (3, pytest.approx(2 / 3))]


def test_a_bin_includes_its_upper_edge() -> None:
    confidence = np.array([1 / ECE_BINS, 1 / ECE_BINS + 1e-9, 1.0])
    bins = reliability(confidence, np.array([True, True, True]))
    assert [index for index, each in enumerate(bins) if each.n] == [0, 1, ECE_BINS - 1]
    assert sum(each.n for each in bins) == 3


def test_ece_agrees_with_scikit_learns_calibration_curve() -> None:
    probabilities, truth = draw(2000, 3)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    accuracy, mean = calibration_curve(right, confidence, n_bins=ECE_BINS)
    counts = np.histogram(confidence, bins=ECE_BINS, range=(0, 1))[0]
    expected = np.sum(counts[counts > 0] * np.abs(accuracy - mean)) / len(truth)
    bins = reliability(confidence, right)
    assert expected_calibration_error(bins) == pytest.approx(expected)
    assert expected < 0.05


def test_scores_agree_with_scikit_learn() -> None:
    probabilities, truth = draw(500, 3)
    scores = score_predictions(probabilities, truth, LABELS)
    predicted = probabilities.argmax(axis=1)
    assert scores.accuracy == np.mean(predicted == truth)
    assert scores.macro_f1 == pytest.approx(f1_score(truth, predicted, average="macro"))
    assert scores.log_loss == pytest.approx(log_loss(truth, probabilities))
    assert scores.brier == pytest.approx(
        brier_score_loss(truth, probabilities, scale_by_half=False)
    )
    assert np.sum(scores.confusion) == scores.n == 500
    assert [each.support for each in scores.labels] == np.bincount(truth).tolist()


def test_macro_f1_ignores_labels_that_do_not_occur() -> None:
    probabilities = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]])
    scores = score_predictions(probabilities, np.array([0, 1]), LABELS)
    assert scores.macro_f1 == 1.0
    assert (scores.labels[2].f1, scores.labels[2].support) == (0.0, 0)


def test_coverage_is_the_share_of_rows_above_the_threshold() -> None:
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.55, 0.45]])
    truth = np.array([0, 1, 1, 1])
    scores = score_predictions(probabilities, truth, ["a", "b"], min_confidence=0.7)
    assert (scores.coverage, scores.covered_accuracy) == (0.5, 1.0)
    assert (
        score_predictions(probabilities, truth, ["a", "b"], min_confidence=0.95).covered_accuracy
        is None
    )
    assert score_predictions(probabilities, truth, ["a", "b"]).coverage == 1.0


def test_scores_are_plain_json_even_for_one_wrong_row() -> None:
    """The probability of the right label is 0; no score is NaN or Infinity."""
    scores = score_predictions(
        np.array([[1.0, 0.0, 0.0]]), np.array([2]), LABELS, min_confidence=1.0
    )
    tree = json.loads(json.dumps(scores.to_dict(), allow_nan=False))
    assert (tree["accuracy"], tree["ece"], tree["n"]) == (0.0, 1.0, 1)
    assert scores.confused_pairs() == [("c", "a", 1)]
    assert scores.summary().keys() == {"accuracy", "macro_f1", "ece", "n"}
