"""Measures of explanations, on networks whose right explanation is known."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit

from heed.model.data.rationales import WordRationales
from heed.model.evaluation.faithfulness import (
    DELETION_SHARES,
    LEAVE_ONE_OUT,
    DeletionScorer,
    ExplainedText,
    Ids,
    area,
    area_limits,
    comprehensiveness,
    leave_one_out,
    rank_correlation,
    sign_agreement,
    sufficiency,
)
from heed.model.evaluation.measures import measure_explanations
from tests.support.command import heed

EFFECTS = np.array([0.0, 0.9, -0.4, 0.3, 0.1, -0.05, 0.6, 0.2, -0.2, 0.15, 0.02])
"""What each token id adds to the logit of class 1 of the linear network."""


def linear(texts: Sequence[Ids]) -> NDArray[np.float64]:
    """Probabilities (n, 2) of a network that adds up one number a token."""
    positive = expit([sum(EFFECTS[token] for token in ids) for ids in texts])
    return np.stack([1 - positive, positive], axis=1)


def make(*ids: int) -> tuple[DeletionScorer, ExplainedText]:
    deletion = DeletionScorer(linear, np.array([0.5, 0.5]))
    return deletion, ExplainedText(ids, 1, float(linear([ids])[0, 1]))


def test_leave_one_out_of_a_linear_network_is_its_contributions() -> None:
    """In rank and sign; the sigmoid only bends the size."""
    ids = tuple(range(1, 11))
    deletion, subject = make(*ids)
    (effects,) = leave_one_out(deletion, [subject])
    contributions = EFFECTS[list(ids)]
    assert rank_correlation(contributions, effects) == pytest.approx(1)
    assert sign_agreement(contributions, effects).all()
    without_first = linear([ids[1:]])[0, 1]
    assert effects[0] == pytest.approx(subject.probability - without_first)


def test_deletions_are_those_that_were_asked_for() -> None:
    seen: list[Ids] = []

    def predict(texts: Sequence[Ids]) -> NDArray[np.float64]:
        seen.extend(texts)
        return linear(texts)

    subject = ExplainedText((7, 8, 9, 10, 7), 1, float(linear([(7, 8, 9, 10, 7)])[0, 1]))
    deletion = DeletionScorer(predict, np.array([0.5, 0.5]))
    scores = np.array([0.1, 0.5, -1.0, 0.4, 0.2])  # order of places: 1, 3, 4, 0, 2
    fall = comprehensiveness(deletion, [subject], [scores])
    # 5, 10 and 20 % of five tokens are one, 50 % are three
    assert seen == [(7, 9, 10, 7), (7, 9)]
    assert fall.shape == (1, len(DELETION_SHARES))
    assert fall[0, -1] == pytest.approx(subject.probability - linear([(7, 9)])[0, 1])
    seen.clear()
    sufficiency(deletion, [subject], [scores])
    assert seen == [(8,), (8, 10, 7)]
    sufficiency(deletion, [subject], [scores])
    assert seen == [(8,), (8, 10, 7)], "what is known is not run again"


def test_a_text_of_one_token_leaves_the_empty_one() -> None:
    deletion = DeletionScorer(linear, np.array([0.2, 0.8]))
    subject = ExplainedText((1,), 1, float(linear([(1,)])[0, 1]))
    assert leave_one_out(deletion, [subject])[0] == pytest.approx([subject.probability - 0.8])
    assert sufficiency(deletion, [subject], [np.array([1.0])]) == pytest.approx(np.zeros((1, 4)))


def test_the_search_finds_the_best_and_the_worst_order() -> None:
    deletion, subject = make(1, 2, 3, 5, 6, 8)
    low, high = area_limits(deletion, subject)
    best = [int(place) for place in np.argsort(-EFFECTS[list(subject.ids)])]
    assert high == pytest.approx(area(deletion, subject, best))
    assert low == pytest.approx(area(deletion, subject, best[::-1]))
    assert low < area(deletion, subject, range(6)) < high


def test_the_truth_is_measured_as_perfect_and_chance_as_chance() -> None:
    random = np.random.default_rng(0)
    texts = [tuple(random.integers(1, 11, 12).tolist()) for _ in range(40)]
    subjects = [ExplainedText(ids, 1, float(linear([ids])[0, 1])) for ids in texts]
    deletion = DeletionScorer(linear, np.array([0.5, 0.5]))
    truth = [EFFECTS[list(ids)] for ids in texts]
    scores = {
        "truth": truth,
        "opposite": [-effects for effects in truth],
        "random": [random.uniform(-1, 1, 12) for _ in texts],
        LEAVE_ONE_OUT: leave_one_out(deletion, subjects),
    }
    marks = [
        WordRationales(np.arange(12), (effects > 0.5).astype(float), np.sign(effects))
        for effects in truth
    ]
    rows = measure_explanations(subjects, scores, deletion, marks)
    assert rows["truth"]["normalised_comprehensiveness"] == pytest.approx(1)
    assert rows["truth"]["normalised_sufficiency"] == pytest.approx(0)
    assert rows["opposite"]["normalised_comprehensiveness"] == pytest.approx(0)
    assert rows["truth"]["rank_correlation"] == pytest.approx(1, abs=0.02)
    assert rows["opposite"]["rank_correlation"] == pytest.approx(-1, abs=0.02)
    assert rows["truth"]["polarity_agreement"] == 1
    assert rows["opposite"]["polarity_agreement"] == 0
    assert rows["random"]["polarity_agreement"] == pytest.approx(0.5, abs=0.1)
    for measured in ("average_precision", "precision_at_marks", "marks_polarity_agreement"):
        assert rows["truth"][measured] == 1
        assert rows["random"][measured] < 0.7
    order = sorted(rows, key=lambda method: rows[method]["comprehensiveness_20%"])
    assert order[:2] == ["opposite", "random"]
    marked = [mark.marked.mean() for mark in marks if mark.marked.any()]
    assert rows["random"]["base_rate"] == pytest.approx(np.mean(marked))


@pytest.fixture
def marked_reviews(tmp_path: Path) -> Path:
    """Reviews whose one telling word is marked."""
    lines = []
    for number in range(40):
        word, label = (("wonderful", "positive"), ("dreadful", "negative"))[number % 2]
        tokens = ["The", "film", "was", word, "."]
        lines.append({"tokens": tokens, "label": label, "rationale": [0, 0, 0, 1, 0]})
    data = tmp_path / "marked.jsonl"
    data.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return data


def test_the_command_compares_ways_of_explaining(
    trained: Path, checkpoint: Path, marked_reviews: Path
) -> None:
    options = ("--explanations", "--checkpoint", checkpoint)
    found = json.loads(heed("evaluate", trained, marked_reviews, "--json", *options).stdout)
    methods = found["explanations"]["methods"]
    assert list(methods) == [
        "random", "attention", "contributions", "leave one out", "gradient × input",
        "integrated gradients",
    ]  # fmt: skip
    assert found["explanations"]["n"] == found["accuracy"] * 40
    assert methods["random"]["base_rate"] == pytest.approx(0.2)
    assert methods["contributions"]["average_precision"] > 0.8
    assert methods["contributions"]["passes"] == methods["attention"]["passes"] == "0"
    assert (
        methods["integrated gradients"]["milliseconds"] > methods["contributions"]["milliseconds"]
    )
    text = heed("evaluate", trained, marked_reviews, "--explanations").stdout
    assert "contributions" in text
    assert "MAP" in text


def test_explanations_are_compared_without_marks_too(trained: Path, test_csv: Path) -> None:
    options = ("--json", "--explanations", "--limit", 10)
    found = json.loads(heed("evaluate", trained, test_csv, *options).stdout)["explanations"]
    assert (found["n"], found["marked"]) == (10, False)
    assert "average_precision" not in found["methods"]["contributions"]
