"""Faithfulness: do the tokens that an explanation names change the network's answer?

Each measure deletes tokens, runs the network on the shorter text, and compares f, the probability
of the explained class, with f of the whole text. An explanation is one score for each token; a
larger score means that the token supports the explained class more. The network is only a
`Predict` function. Needs no PyTorch.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

LEAVE_ONE_OUT = "leave one out"
"""Name of the method that `rank_correlation` and `sign_agreement` use as the reference."""

Ids = tuple[int, ...]
Floats = NDArray[np.float64]

Predict = Callable[[Sequence[Ids]], Floats]
"""Returns the probabilities (n, C) of n texts, given as token ids; no text is empty."""

DELETION_SHARES = (0.05, 0.1, 0.2, 0.5)
"""Shares of the tokens of a text that are deleted or kept, rounded up to at least one token."""
BEAM_WIDTH = 5
"""Number of orders that the beam search of `area_limits` keeps."""
CHUNK_TEXTS = 64
"""Number of texts whose deletions are cached together."""
MIN_EFFECT = 0.01
"""`sign_agreement` ignores tokens whose deletion changes the probability by less."""


@dataclass(frozen=True)
class ExplainedText:
    """A text, the class that is explained, and f of the whole text."""

    ids: Ids
    label: int
    probability: float


class DeletionScorer:
    """Computes f of texts with deleted tokens, and caches the probabilities.

    Args:
        predict: the network.
        empty: (C,) probabilities of a text without tokens: softmax(bias / temperature).
    """

    def __init__(self, predict: Predict, empty: Floats) -> None:
        self._predict = predict
        self._cache: dict[Ids, Floats] = {(): empty}

    def __call__(self, kept: Sequence[tuple[ExplainedText, Iterable[int]]]) -> Floats:
        """Return f for each pair of a text and the positions of the tokens to keep."""
        shortened = [tuple(text.ids[position] for position in sorted(keep)) for text, keep in kept]
        new = [ids for ids in dict.fromkeys(shortened) if ids not in self._cache]
        if new:
            self._cache.update(zip(new, self._predict(new), strict=True))
        labels = [text.label for text, _ in kept]
        return np.array([self._cache[ids][c] for ids, c in zip(shortened, labels, strict=True)])

    def clear(self) -> None:
        """Empty the cache, to bound memory."""
        self._cache = {(): self._cache[()]}


def leave_one_out(scorer: DeletionScorer, texts: Sequence[ExplainedText]) -> list[Floats]:
    """Return f(x) - f(x without token t) for each token t: (T,) for each text."""
    kept = [
        (text, [position for position in range(len(text.ids)) if position != deleted])
        for text in texts
        for deleted in range(len(text.ids))
    ]
    ends = np.cumsum([len(text.ids) for text in texts])
    after_deletion = np.split(scorer(kept), ends[:-1])
    return [text.probability - f for text, f in zip(texts, after_deletion, strict=True)]


def comprehensiveness(
    scorer: DeletionScorer, texts: Sequence[ExplainedText], scores: Sequence[Floats]
) -> Floats:
    """Return f(x) - f(x without its top tokens) for each of `DELETION_SHARES`: (n, 4).

    Higher is better (DeYoung et al. 2020). Of tokens with equal scores the first is deleted first.
    """
    return _drops(scorer, texts, scores, lambda order, count: order[count:])


def sufficiency(
    scorer: DeletionScorer, texts: Sequence[ExplainedText], scores: Sequence[Floats]
) -> Floats:
    """Return f(x) - f(its top tokens only) for each of `DELETION_SHARES`: (n, 4).

    Lower is better (DeYoung et al. 2020).
    """
    return _drops(scorer, texts, scores, lambda order, count: order[:count])


def _drops(
    scorer: DeletionScorer,
    texts: Sequence[ExplainedText],
    scores: Sequence[Floats],
    keep: Callable[[list[int], int], list[int]],
) -> Floats:
    orders = [ranking(of_text) for of_text in scores]
    kept = [
        (text, keep(order, math.ceil(share * len(order))))
        for text, order in zip(texts, orders, strict=True)
        for share in DELETION_SHARES
    ]
    whole = np.array([text.probability for text in texts])
    return whole[:, None] - scorer(kept).reshape(len(texts), len(DELETION_SHARES))


def area(scorer: DeletionScorer, text: ExplainedText, order: Sequence[int]) -> float:
    """Return the AOPC: mean over k = 1..T of f(x) - f(x without the first k tokens of order)."""
    kept = [(text, order[k:]) for k in range(1, len(order) + 1)]
    return float(np.mean(text.probability - scorer(kept)))


def area_limits(
    scorer: DeletionScorer, text: ExplainedText, width: int = BEAM_WIDTH
) -> tuple[float, float]:
    """Return the smallest and the largest `area` of any order of the tokens, by beam search.

    NAOPC_beam of Edin et al. 2024 (arXiv 2408.08137). They mask words; Heed deletes tokens.
    """
    tokens = frozenset(range(len(text.ids)))
    limits = []
    for sign in (-1.0, 1.0):
        beam: dict[frozenset[int], float] = {tokens: 0.0}  # remaining tokens: area so far
        for _ in tokens:
            candidates: dict[frozenset[int], float] = {}
            for remaining, total in beam.items():
                for deleted in remaining:
                    shorter = remaining - {deleted}
                    candidates[shorter] = max(candidates.get(shorter, -np.inf), total)
            drops = text.probability - scorer([(text, remaining) for remaining in candidates])
            for remaining, drop in zip(candidates, drops.tolist(), strict=True):
                candidates[remaining] += sign * drop
            best = sorted(candidates.items(), key=lambda item: -item[1])[:width]
            beam = dict(best)
        limits.append(sign * next(iter(beam.values())) / len(tokens))
    return limits[0], limits[1]


def rank_correlation(scores: Floats, reference: Floats) -> float:
    """Return Kendall's tau-b; 0 if all scores, or all reference values, are equal."""
    if np.ptp(scores) == 0 or np.ptp(reference) == 0:
        return 0.0
    return float(kendalltau(scores, reference).statistic)


def sign_agreement(scores: Floats, effects: Floats) -> NDArray[np.bool_]:
    """Return, for each token with |effect| >= `MIN_EFFECT`, if its score has the same sign."""
    counted = np.abs(effects) >= MIN_EFFECT
    same: NDArray[np.bool_] = np.sign(scores[counted]) == np.sign(effects[counted])
    return same


def ranking(scores: Floats) -> list[int]:
    """Return the positions from the largest score to the smallest; equal scores in text order."""
    return [int(position) for position in np.argsort(-scores, kind="stable")]
