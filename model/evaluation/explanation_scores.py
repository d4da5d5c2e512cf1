"""The table that compares ways to explain a network's answers. Needs no PyTorch."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from heed.model.data.rationales import WordRationales, average_precision, precision_at_k
from heed.model.evaluation import faithfulness
from heed.model.evaluation.faithfulness import (
    CHUNK,
    DELETION_SHARES,
    LEAVE_ONE_OUT,
    DeletionScorer,
    ExplainedText,
    ranking,
)

Floats = NDArray[np.float64]
Found = dict[str, list[float]]
"""Of one method, by measure: a number for each text, or each token, that allows it."""

SEARCHED_TEXTS, SEARCHED_TOKENS = 100, 40
"""For how many texts, and of how many tokens at most, the best and the worst order is searched."""


def measure_explanations(
    subjects: Sequence[ExplainedText],
    scores: Mapping[str, Sequence[Floats]],
    deletion: DeletionScorer,
    marks: Sequence[WordRationales] | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> dict[str, dict[str, float]]:
    """Measure how faithful each method is to the network, and how close to people's marks.

    Args:
        subjects: the texts that were explained.
        scores: by method, for each text one score a token (T,), the larger the more the token
            speaks for the explained class; `leave one out` is one of them.
        deletion: the network.
        marks: of each text; one without a marked word counts for nothing here.
        progress: called with the number of texts done.

    Returns:
        By method, the mean of each measure; one that no text allows is not there.
    """
    found: dict[str, Found] = {method: {} for method in scores}
    short = [p for p, subject in enumerate(subjects) if 1 < len(subject.ids) <= SEARCHED_TOKENS]
    for start in range(0, len(subjects), CHUNK):
        chunk = slice(start, start + CHUNK)
        for method, row in found.items():
            _add_deletion(row, deletion, subjects[chunk], scores[method][chunk])
            _add_agreement(row, scores[method][chunk], scores[LEAVE_ONE_OUT][chunk])
            if marks is not None:
                _add_marks(row, marks[chunk], scores[method][chunk])
        for place in short[:SEARCHED_TEXTS]:
            if start <= place < start + CHUNK:
                of_text = {method: of[place] for method, of in scores.items()}
                _add_normalised(found, deletion, subjects[place], of_text)
        deletion.forget()
        progress(min(start + CHUNK, len(subjects)))
    return {
        method: {name: float(np.mean(numbers)) for name, numbers in row.items() if numbers}
        for method, row in found.items()
    }


def _add(row: Found, name: str, *numbers: float) -> None:
    row.setdefault(name, []).extend(numbers)


def _add_deletion(
    row: Found,
    deletion: DeletionScorer,
    subjects: Sequence[ExplainedText],
    scores: Sequence[Floats],
) -> None:
    for function in (faithfulness.comprehensiveness, faithfulness.sufficiency):
        drops = function(deletion, subjects, scores)  # (n, shares)
        for share, column in zip(DELETION_SHARES, drops.T, strict=True):
            _add(row, f"{function.__name__}_{share:.0%}", *column.tolist())
        _add(row, function.__name__, *drops.mean(axis=1).tolist())


def _add_agreement(row: Found, scores: Sequence[Floats], effects: Sequence[Floats]) -> None:
    for of_text, effect in zip(scores, effects, strict=True):
        if len(of_text) > 1:
            _add(row, "rank_correlation", faithfulness.rank_correlation(of_text, effect))
        _add(row, "polarity_agreement", *faithfulness.sign_agreement(of_text, effect).tolist())


def _add_normalised(
    found: Mapping[str, Found],
    deletion: DeletionScorer,
    subject: ExplainedText,
    scores: Mapping[str, Floats],
) -> None:
    """Edin et al. 2024: where a method's area lies from the worst order's (0) to the best's (1)."""
    orders = {method: ranking(of) for method, of in scores.items()}
    first = {m: faithfulness.area(deletion, subject, order) for m, order in orders.items()}
    last = {m: faithfulness.area(deletion, subject, order[::-1]) for m, order in orders.items()}
    # The search is not exhaustive: an order here that beats it is the better limit.
    limits = (*faithfulness.area_limits(deletion, subject), *first.values(), *last.values())
    low, high = min(limits), max(limits)
    if high > low:
        for method, row in found.items():
            _add(row, "normalised_comprehensiveness", (first[method] - low) / (high - low))
            _add(row, "normalised_sufficiency", (last[method] - low) / (high - low))


def _add_marks(row: Found, marks: Sequence[WordRationales], scores: Sequence[Floats]) -> None:
    for of_text, mark in zip(scores, marks, strict=True):
        if not mark.marked.any():
            continue
        of_words = mark.sums(of_text)
        _add(row, "average_precision", average_precision(of_words, mark.marked))
        _add(row, "precision_at_marks", precision_at_k(of_words, mark.marked))
        _add(row, "base_rate", float(mark.marked.mean()))
        if len(np.unique(mark.values)) > 2:
            _add(row, "marks_correlation", faithfulness.rank_correlation(of_words, mark.values))
        if mark.polarity.size:
            polar = mark.polarity != 0
            same = np.sign(of_words[polar]) == np.sign(mark.polarity[polar])
            _add(row, "marks_polarity_agreement", *same.tolist())
