"""Plausibility: agreement of explanations with human rationales. Needs no PyTorch."""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from heed.model.data import WordRationales
from heed.model.evaluation.faithfulness import rank_correlation

Floats = NDArray[np.float64]


def score_plausibility(scores: Floats, rationale: WordRationales) -> dict[str, list[float]]:
    """Compare the token scores of one text with its rationale.

    Args:
        scores: (T,) one score for each token.
        rationale: with at least one rationale word.

    Returns:
        A list of numbers for each measure. `rationale_correlation` needs a graded rationale, and
        `rationale_polarity_agreement`, with one number for each polar word, needs a polarity.
    """
    word_scores = rationale.sum_by_word(scores)
    is_rationale = rationale.is_rationale
    result = {
        "average_precision": [average_precision(word_scores, is_rationale)],
        "precision_at_k": [precision_at_k(word_scores, is_rationale)],
        "base_rate": [float(is_rationale.mean())],
    }
    if len(np.unique(rationale.values)) > 2:
        result["rationale_correlation"] = [rank_correlation(word_scores, rationale.values)]
    if rationale.polarity.size:
        polar = rationale.polarity != 0
        same_sign = np.sign(word_scores[polar]) == np.sign(rationale.polarity[polar])
        result["rationale_polarity_agreement"] = same_sign.astype(float).tolist()
    return result


def average_precision(scores: Floats, relevant: NDArray[np.bool_]) -> float:
    """Return the mean, over the relevant words, of the precision of the ranking down to each."""
    return float(average_precision_score(relevant, scores))


def precision_at_k(scores: Floats, relevant: NDArray[np.bool_]) -> float:
    """Return the share of relevant words among the top k; k is the number of relevant words."""
    top = np.argsort(-scores, kind="stable")[: int(relevant.sum())]
    return float(relevant[top].mean())
