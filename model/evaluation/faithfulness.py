"""Does an explanation name the tokens that the network's answer hangs on? Needs no PyTorch.

Tokens are deleted, the shorter text is run again, and f, the probability of the class that was
explained, is compared. All measures want nothing of a method but one score a token, the larger
the more the token speaks for the class, and nothing of a network but `Predict`.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

LEAVE_ONE_OUT = "leave one out"
"""The method whose effects the others' ranks and signs are compared with."""

Ids = tuple[int, ...]
Floats = NDArray[np.float64]

Predict = Callable[[Sequence[Ids]], Floats]
"""Probabilities (n, C) of n token id sequences, none of them empty."""

DELETION_SHARES = (0.05, 0.1, 0.2, 0.5)
"""Of a text's tokens, removed or kept; rounded up, so at least one."""
BEAM = 5
"""Orders that the search for the best and the worst one keeps at a time."""
CHUNK = 64
"""Texts whose deletions are run together."""
EFFECT = 0.01
"""Probability that a token's removal must move before its sign counts."""


@dataclass(frozen=True)
class ExplainedText:
    """A text to explain: its token ids, the explained class and f(whole text)."""

    ids: Ids
    label: int
    probability: float


class DeletionScorer:
    """f of texts with tokens deleted; what was asked before is not run again.

    Args:
        predict: the network.
        empty: (C,), the probabilities of a text with no token left: softmax(bias / temperature).
    """

    def __init__(self, predict: Predict, empty: Floats) -> None:
        self._predict = predict
        self._known: dict[Ids, Floats] = {(): empty}

    def __call__(self, asked: Sequence[tuple[ExplainedText, Iterable[int]]]) -> Floats:
        """f for each (subject, places of the tokens to keep)."""
        texts = [tuple(subject.ids[place] for place in sorted(keep)) for subject, keep in asked]
        fresh = [text for text in dict.fromkeys(texts) if text not in self._known]
        if fresh:
            self._known.update(zip(fresh, self._predict(fresh), strict=True))
        labels = [subject.label for subject, _ in asked]
        return np.array([self._known[t][c] for t, c in zip(texts, labels, strict=True)])

    def forget(self) -> None:
        """Drop what is known, to bound memory between texts."""
        self._known = {(): self._known[()]}


def leave_one_out(deletion: DeletionScorer, subjects: Sequence[ExplainedText]) -> list[Floats]:
    """f(x) - f(x without token t), for each t: (T,) a text."""
    asked = [
        (subject, [place for place in range(len(subject.ids)) if place != gone])
        for subject in subjects
        for gone in range(len(subject.ids))
    ]
    ends = np.cumsum([len(subject.ids) for subject in subjects])
    left = np.split(deletion(asked), ends[:-1])
    return [subject.probability - f for subject, f in zip(subjects, left, strict=True)]


def comprehensiveness(
    deletion: DeletionScorer, subjects: Sequence[ExplainedText], scores: Sequence[Floats]
) -> Floats:
    """f(x) - f(x without its top tokens), for each of `DELETION_SHARES`: (n, 4); higher is better.

    DeYoung et al. 2020. Of tokens with equal scores the earlier goes first.
    """
    return _drops(deletion, subjects, scores, lambda order, count: order[count:])


def sufficiency(
    deletion: DeletionScorer, subjects: Sequence[ExplainedText], scores: Sequence[Floats]
) -> Floats:
    """f(x) - f(its top tokens alone), for each of `DELETION_SHARES`: (n, 4); lower is better."""
    return _drops(deletion, subjects, scores, lambda order, count: order[:count])


def _drops(
    deletion: DeletionScorer,
    subjects: Sequence[ExplainedText],
    scores: Sequence[Floats],
    keep: Callable[[list[int], int], list[int]],
) -> Floats:
    orders = [ranking(of_text) for of_text in scores]
    asked = [
        (subject, keep(order, math.ceil(share * len(order))))
        for subject, order in zip(subjects, orders, strict=True)
        for share in DELETION_SHARES
    ]
    whole = np.array([subject.probability for subject in subjects])
    return whole[:, None] - deletion(asked).reshape(len(subjects), len(DELETION_SHARES))


def area(deletion: DeletionScorer, subject: ExplainedText, order: Sequence[int]) -> float:
    """AOPC: the mean over k = 1..T of f(x) - f(x without the first k tokens of an order)."""
    asked = [(subject, order[k:]) for k in range(1, len(order) + 1)]
    return float(np.mean(subject.probability - deletion(asked)))


def area_limits(
    deletion: DeletionScorer, subject: ExplainedText, beam: int = BEAM
) -> tuple[float, float]:
    """The least and the greatest `area` that any order of this text reaches, by beam search.

    NAOPC_beam of Edin et al. 2024 (arXiv 2408.08137); there with masked words, here with deleted
    tokens.
    """
    tokens = frozenset(range(len(subject.ids)))
    limits = []
    for sign in (-1.0, 1.0):
        kept: dict[frozenset[int], float] = {tokens: 0.0}  # what is left of the text: area so far
        for _ in tokens:
            reached: dict[frozenset[int], float] = {}
            for left, total in kept.items():
                for gone in left:
                    shorter = left - {gone}
                    reached[shorter] = max(reached.get(shorter, -np.inf), total)
            drops = subject.probability - deletion([(subject, left) for left in reached])
            for left, drop in zip(reached, drops.tolist(), strict=True):
                reached[left] += sign * drop
            best = sorted(reached.items(), key=lambda item: -item[1])[:beam]
            kept = dict(best)
        limits.append(sign * next(iter(kept.values())) / len(tokens))
    return limits[0], limits[1]


def rank_correlation(scores: Floats, reference: Floats) -> float:
    """Kendall's tau-b; 0 where one of the two ranks nothing."""
    if np.ptp(scores) == 0 or np.ptp(reference) == 0:
        return 0.0
    return float(kendalltau(scores, reference).statistic)


def sign_agreement(scores: Floats, effects: Floats) -> NDArray[np.bool_]:
    """For each token whose effect is at least `EFFECT`: whether its score has the same sign."""
    counts = np.abs(effects) >= EFFECT
    same: NDArray[np.bool_] = np.sign(scores[counts]) == np.sign(effects[counts])
    return same


def ranking(scores: Floats) -> list[int]:
    """Places of the scores, the largest first, equal ones in the order of the text."""
    return [int(place) for place in np.argsort(-scores, kind="stable")]
