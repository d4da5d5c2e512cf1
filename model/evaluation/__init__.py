"""Score a bundle on a data file, and compare explanation methods."""

from heed.model.evaluation.compare_explanations import ExplanationComparison
from heed.model.evaluation.explanation_scores import NORMALISED_TEXTS
from heed.model.evaluation.faithfulness import DELETION_SHARES
from heed.model.evaluation.run import Evaluation, evaluate_bundle

__all__ = [
    "DELETION_SHARES",
    "NORMALISED_TEXTS",
    "Evaluation",
    "ExplanationComparison",
    "evaluate_bundle",
]
