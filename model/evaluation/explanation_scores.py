"""Score explanation methods on many texts: faithfulness and plausibility. Needs no PyTorch."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from heed.model.data import WordRationales
from heed.model.evaluation import faithfulness
from heed.model.evaluation.faithfulness import (
    CHUNK_TEXTS,
    DELETION_SHARES,
    LEAVE_ONE_OUT,
    DeletionScorer,
    ExplainedText,
    ranking,
)
from heed.model.evaluation.plausibility import score_plausibility

Floats = NDArray[np.float64]
Values = dict[str, list[float]]
"""By measure: one number for each text, or for each token, where the measure is defined."""

NORMALISED_TEXTS, NORMALISED_TOKENS = 100, 40
"""The normalised measures use this many texts, each of at most this many tokens."""


def score_explanations(
    texts: Sequence[ExplainedText],
    scores: Mapping[str, Sequence[Floats]],
    scorer: DeletionScorer,
    rationales: Sequence[WordRationales] | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> dict[str, dict[str, float]]:
    """Measure how faithful each method is to the network, and how close to human rationales.

    Args:
        texts: the explained texts.
        scores: by method, the token scores (T,) of each text. A larger score means that the token
            supports the explained class more. `leave one out` is one of the methods.
        scorer: runs the network on texts with deleted tokens.
        rationales: of each text; texts without a rationale word are skipped.
        progress: called with the number of texts done.

    Returns:
        By method, the mean of each measure. A measure that no text defines is left out.
    """
    values: dict[str, Values] = {method: {} for method in scores}
    short = [i for i, text in enumerate(texts) if 1 < len(text.ids) <= NORMALISED_TOKENS]
    for start in range(0, len(texts), CHUNK_TEXTS):
        chunk = slice(start, start + CHUNK_TEXTS)
        for method, of_method in values.items():
            _add_deletion(of_method, scorer, texts[chunk], scores[method][chunk])
            _add_agreement(of_method, scores[method][chunk], scores[LEAVE_ONE_OUT][chunk])
            if rationales is not None:
                _add_plausibility(of_method, rationales[chunk], scores[method][chunk])
        for index in short[:NORMALISED_TEXTS]:
            if start <= index < start + CHUNK_TEXTS:
                of_text = {method: of_method[index] for method, of_method in scores.items()}
                _add_normalised(values, scorer, texts[index], of_text)
        scorer.clear()
        progress(min(start + CHUNK_TEXTS, len(texts)))
    return {
        method: {name: float(np.mean(numbers)) for name, numbers in of_method.items() if numbers}
        for method, of_method in values.items()
    }


def _add(values: Values, name: str, *numbers: float) -> None:
    values.setdefault(name, []).extend(numbers)


def _add_deletion(
    values: Values,
    scorer: DeletionScorer,
    texts: Sequence[ExplainedText],
    scores: Sequence[Floats],
) -> None:
    for measure in (faithfulness.comprehensiveness, faithfulness.sufficiency):
        drops = measure(scorer, texts, scores)  # (n, shares)
        for share, column in zip(DELETION_SHARES, drops.T, strict=True):
            _add(values, f"{measure.__name__}_{share:.0%}", *column.tolist())
        _add(values, measure.__name__, *drops.mean(axis=1).tolist())


def _add_agreement(values: Values, scores: Sequence[Floats], effects: Sequence[Floats]) -> None:
    for of_text, effect in zip(scores, effects, strict=True):
        if len(of_text) > 1:
            _add(values, "rank_correlation", faithfulness.rank_correlation(of_text, effect))
        same_sign = faithfulness.sign_agreement(of_text, effect)
        _add(values, "polarity_agreement", *same_sign.tolist())


def _add_normalised(
    values: Mapping[str, Values],
    scorer: DeletionScorer,
    text: ExplainedText,
    scores: Mapping[str, Floats],
) -> None:
    """Scale each method's area to 0 for the worst order and 1 for the best (Edin et al. 2024)."""
    orders = {method: ranking(of_method) for method, of_method in scores.items()}
    forward = {m: faithfulness.area(scorer, text, order) for m, order in orders.items()}
    reverse = {m: faithfulness.area(scorer, text, order[::-1]) for m, order in orders.items()}
    # Beam search is not exhaustive, so the order of a method may exceed its limits.
    areas = (*faithfulness.area_limits(scorer, text), *forward.values(), *reverse.values())
    low, high = min(areas), max(areas)
    if high > low:
        for method, of_method in values.items():
            _add(of_method, "normalised_comprehensiveness", (forward[method] - low) / (high - low))
            _add(of_method, "normalised_sufficiency", (reverse[method] - low) / (high - low))


def _add_plausibility(
    values: Values, rationales: Sequence[WordRationales], scores: Sequence[Floats]
) -> None:
    for of_text, rationale in zip(scores, rationales, strict=True):
        if rationale.is_rationale.any():
            for name, numbers in score_plausibility(of_text, rationale).items():
                _add(values, name, *numbers)
