"""Agreement of token scores with rationales."""

import numpy as np
import pytest

from heed.model.data.rationales import WordRationales
from heed.model.evaluation.plausibility import (
    average_precision,
    precision_at_k,
    score_plausibility,
)


def test_precision_of_a_ranking() -> None:
    relevant = np.array([True, False, True, False])
    assert average_precision(np.array([4.0, 3, 2, 1]), relevant) == pytest.approx((1 + 2 / 3) / 2)
    assert precision_at_k(np.array([4.0, 3, 2, 1]), relevant) == 0.5
    assert average_precision(np.array([4.0, 1, 3, 2]), relevant) == 1


def test_correlation_needs_grades_and_polarity_agreement_needs_polarity() -> None:
    scores = np.array([3.0, -1, 2, 1])
    plain = WordRationales(np.arange(4), np.array([1.0, 0, 1, 0]), np.empty(0))
    assert score_plausibility(scores, plain) == {
        "average_precision": [1],
        "precision_at_k": [1],
        "base_rate": [0.5],
    }
    graded = WordRationales(np.arange(4), np.array([1.0, 0, 0.7, 0.2]), np.array([1, 2, 0, 1]))
    measures = score_plausibility(scores, graded)
    assert measures["rationale_correlation"] == [pytest.approx(1)]
    assert measures["rationale_polarity_agreement"] == [1, 0, 1]
