"""Faithfulness and plausibility, on networks whose correct explanation is known."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit

from heed.model.data.rationales import WordRationales
from heed.model.evaluation.explanation_scores import score_explanations
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

EFFECTS = np.array([0.0, 0.9, -0.4, 0.3, 0.1, -0.05, 0.6, 0.2, -0.2, 0.15, 0.02])
"""Contribution of each token id to the logit of class 1 of the linear network."""


def linear(texts: Sequence[Ids]) -> NDArray[np.float64]:
    """Return the probabilities (n, 2) of a network that sums one number for each token."""
    positive = expit([sum(EFFECTS[token] for token in ids) for ids in texts])
    return np.stack([1 - positive, positive], axis=1)


def make(*ids: int) -> tuple[DeletionScorer, ExplainedText]:
    scorer = DeletionScorer(linear, np.array([0.5, 0.5]))
    return scorer, ExplainedText(ids, 1, float(linear([ids])[0, 1]))


def test_leave_one_out_of_a_linear_network_ranks_like_its_contributions() -> None:
    """Rank and sign are equal; the sigmoid changes only the size."""
    ids = tuple(range(1, 11))
    scorer, text = make(*ids)
    (effects,) = leave_one_out(scorer, [text])
    contributions = EFFECTS[list(ids)]
    assert rank_correlation(contributions, effects) == pytest.approx(1)
    assert sign_agreement(contributions, effects).all()
    without_first = linear([ids[1:]])[0, 1]
    assert effects[0] == pytest.approx(text.probability - without_first)


def test_the_network_runs_once_on_each_shortened_text() -> None:
    seen: list[Ids] = []

    def predict(texts: Sequence[Ids]) -> NDArray[np.float64]:
        seen.extend(texts)
        return linear(texts)

    text = ExplainedText((7, 8, 9, 10, 7), 1, float(linear([(7, 8, 9, 10, 7)])[0, 1]))
    scorer = DeletionScorer(predict, np.array([0.5, 0.5]))
    scores = np.array([0.1, 0.5, -1.0, 0.4, 0.2])  # order of positions: 1, 3, 4, 0, 2
    drops = comprehensiveness(scorer, [text], [scores])
    # 5, 10 and 20 % of five tokens round up to one token, 50 % to three
    assert seen == [(7, 9, 10, 7), (7, 9)]
    assert drops.shape == (1, len(DELETION_SHARES))
    assert drops[0, -1] == pytest.approx(text.probability - linear([(7, 9)])[0, 1])
    seen.clear()
    sufficiency(scorer, [text], [scores])
    assert seen == [(8,), (8, 10, 7)]
    sufficiency(scorer, [text], [scores])
    assert seen == [(8,), (8, 10, 7)]


def test_a_text_of_one_token_is_compared_with_the_empty_text() -> None:
    scorer = DeletionScorer(linear, np.array([0.2, 0.8]))
    text = ExplainedText((1,), 1, float(linear([(1,)])[0, 1]))
    assert leave_one_out(scorer, [text])[0] == pytest.approx([text.probability - 0.8])
    assert sufficiency(scorer, [text], [np.array([1.0])]) == pytest.approx(np.zeros((1, 4)))


def test_beam_search_finds_the_best_and_the_worst_order() -> None:
    scorer, text = make(1, 2, 3, 5, 6, 8)
    low, high = area_limits(scorer, text)
    best = [int(position) for position in np.argsort(-EFFECTS[list(text.ids)])]
    assert high == pytest.approx(area(scorer, text, best))
    assert low == pytest.approx(area(scorer, text, best[::-1]))
    assert low < area(scorer, text, range(6)) < high


def test_correct_scores_get_the_best_measures_and_random_ones_do_not() -> None:
    random = np.random.default_rng(0)
    texts = [tuple(random.integers(1, 11, 12).tolist()) for _ in range(40)]
    explained = [ExplainedText(ids, 1, float(linear([ids])[0, 1])) for ids in texts]
    scorer = DeletionScorer(linear, np.array([0.5, 0.5]))
    truth = [EFFECTS[list(ids)] for ids in texts]
    scores = {
        "truth": truth,
        "opposite": [-effects for effects in truth],
        "random": [random.uniform(-1, 1, 12) for _ in texts],
        LEAVE_ONE_OUT: leave_one_out(scorer, explained),
    }
    rationales = [
        WordRationales(np.arange(12), (effects > 0.5).astype(float), np.sign(effects))
        for effects in truth
    ]
    measures = score_explanations(explained, scores, scorer, rationales)
    assert measures["truth"]["normalised_comprehensiveness"] == pytest.approx(1)
    assert measures["truth"]["normalised_sufficiency"] == pytest.approx(0)
    assert measures["opposite"]["normalised_comprehensiveness"] == pytest.approx(0)
    assert measures["truth"]["rank_correlation"] == pytest.approx(1, abs=0.02)
    assert measures["opposite"]["rank_correlation"] == pytest.approx(-1, abs=0.02)
    assert measures["truth"]["polarity_agreement"] == 1
    assert measures["opposite"]["polarity_agreement"] == 0
    assert measures["random"]["polarity_agreement"] == pytest.approx(0.5, abs=0.1)
    for name in ("average_precision", "precision_at_k", "rationale_polarity_agreement"):
        assert measures["truth"][name] == 1
        assert measures["random"][name] < 0.7
    order = sorted(measures, key=lambda method: measures[method]["comprehensiveness_20%"])
    assert order[:2] == ["opposite", "random"]
    rates = [r.is_rationale.mean() for r in rationales if r.is_rationale.any()]
    assert measures["random"]["base_rate"] == pytest.approx(np.mean(rates))
