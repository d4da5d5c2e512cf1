"""Scores of probabilities against the truth, and the command that prints them."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, f1_score, log_loss

from heed.model.export.card import add_explanation_table
from heed.model.metrics.classification import (
    ECE_BINS,
    expected_calibration_error,
    reliability,
    score_predictions,
)
from heed.model.report.tables import table
from tests.support.command import ROOT, heed
from tests.support.texts import write_csv

LABELS = ["a", "b", "c"]


def draw(rows: int, classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that are right about themselves, and a truth drawn by them."""
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.full(classes, 0.4), rows)
    truth = np.array([random.choice(classes, p=row) for row in probabilities])
    return probabilities, truth


def test_ece_by_hand() -> None:
    """Two bins: 3 rows of confidence .9, one wrong; 1 row of confidence .5, right."""
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.5, 0.5]])
    scores = score_predictions(probabilities, np.array([0, 1, 1, 0]), ["a", "b"])
    assert scores.ece == pytest.approx((3 * abs(2 / 3 - 0.9) + 1 * abs(1 - 0.5)) / 4)
    filled = [each for each in scores.reliability if each.n]
    assert [(each.n, each.accuracy) for each in filled] == [(1, 1.0), (3, pytest.approx(2 / 3))]


def test_a_bin_holds_its_upper_edge() -> None:
    confidence = np.array([1 / ECE_BINS, 1 / ECE_BINS + 1e-9, 1.0])
    bins = reliability(confidence, np.array([True, True, True]))
    assert [place for place, each in enumerate(bins) if each.n] == [0, 1, ECE_BINS - 1]
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
    given = probabilities.argmax(axis=1)
    assert scores.accuracy == np.mean(given == truth)
    assert scores.macro_f1 == pytest.approx(f1_score(truth, given, average="macro"))
    assert scores.log_loss == pytest.approx(log_loss(truth, probabilities))
    assert scores.brier == pytest.approx(
        brier_score_loss(truth, probabilities, scale_by_half=False)
    )
    assert np.sum(scores.confusion) == scores.n == 500
    assert [each.support for each in scores.labels] == np.bincount(truth).tolist()


def test_a_label_that_does_not_occur_is_not_in_macro_f1() -> None:
    probabilities = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1]])
    scores = score_predictions(probabilities, np.array([0, 1]), LABELS)
    assert scores.macro_f1 == 1.0
    assert (scores.labels[2].f1, scores.labels[2].support) == (0.0, 0)


def test_coverage_counts_what_is_answered() -> None:
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.55, 0.45]])
    truth = np.array([0, 1, 1, 1])
    scores = score_predictions(probabilities, truth, ["a", "b"], min_confidence=0.7)
    assert (scores.coverage, scores.covered_accuracy) == (0.5, 1.0)
    assert (
        score_predictions(probabilities, truth, ["a", "b"], min_confidence=0.95).covered_accuracy
        is None
    )
    assert score_predictions(probabilities, truth, ["a", "b"]).coverage == 1.0


def test_everything_is_json_even_at_the_edges() -> None:
    """One row, given with probability 1 and wrong: nothing becomes NaN or Infinity."""
    scores = score_predictions(
        np.array([[1.0, 0.0, 0.0]]), np.array([2]), LABELS, min_confidence=1.0
    )
    tree = json.loads(json.dumps(scores.to_dict(), allow_nan=False))
    assert (tree["accuracy"], tree["ece"], tree["n"]) == (0.0, 1.0, 1)
    assert scores.confused_pairs() == [("c", "a", 1)]
    assert scores.summary().keys() == {"accuracy", "macro_f1", "ece", "n"}


def test_the_command_prints_what_the_answers_are_worth(trained: Path, test_csv: Path) -> None:
    printed = heed("evaluate", trained, test_csv, "--json").stdout
    scores = json.loads(printed)
    assert printed.count("\n") == 1
    assert scores.keys() >= {"accuracy", "macro_f1", "ece", "n", "labels", "confusion"}
    assert scores["n"] == 80
    text = heed("evaluate", trained, test_csv).stdout
    assert f"accuracy      {scores['accuracy']:.4f}" in text
    assert "precision" in text


def test_a_label_that_the_bundle_does_not_know_is_named(trained: Path, tmp_path: Path) -> None:
    rows = [("A charming film", "positive"), ("A cold room", "lukewarm")]
    data = write_csv(tmp_path / "other.csv", rows)
    done = heed("evaluate", trained, data, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"heed: {data}, row 3: unknown label 'lukewarm'")
    assert done.stderr.count("\n") == 1


def test_a_text_with_nothing_to_read_is_named(trained: Path, tmp_path: Path) -> None:
    rows = [("A charming film", "positive"), ("\u200b\u200d", "negative")]
    data = write_csv(tmp_path / "other.csv", rows)
    done = heed("evaluate", trained, data, check=False)
    assert done.returncode == 2
    assert f"{data}, row 3: the text has nothing to read" in done.stderr


def test_a_table_is_aligned_by_what_the_terminal_shows() -> None:
    assert table([["label", "n"], ["情感", "1"]]) == "label  n\n情感   1"


def test_a_checkpoint_is_only_for_explanations(trained: Path, test_csv: Path) -> None:
    done = heed("evaluate", trained, test_csv, "--checkpoint", "nowhere", check=False)
    assert done.returncode == 2
    assert "--explanations" in done.stderr


def test_evaluating_loads_no_pytorch(trained: Path, test_csv: Path, tmp_path: Path) -> None:
    program = "import sys\nfrom heed.__main__ import main\ntry: main()\nfinally: assert 'torch' not in sys.modules"
    options = [trained, test_csv, "--json", "--explanations", "--limit", 3, "--report", tmp_path]
    done = subprocess.run(
        [sys.executable, "-c", program, "evaluate", *map(str, options)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["explanations"]["n"] == 3


def test_card_holds_one_comparison_however_often_it_is_written() -> None:
    card = "# A bundle\n\n## Reading the reasons\n\nAs they are.\n"
    once = add_explanation_table(card, "marked.jsonl", "| method | MAP |\n")
    assert once.startswith(card.rstrip())
    assert "| method | MAP |" in once
    twice = add_explanation_table(once, "marked.jsonl", "| other |\n")
    assert "| other |" in twice
    assert "| method |" not in twice
