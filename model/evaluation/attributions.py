"""Explanation methods that need only the bundle, with the cost of each. Needs no PyTorch."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from heed.model.evaluation.faithfulness import (
    CHUNK_TEXTS,
    LEAVE_ONE_OUT,
    DeletionScorer,
    ExplainedText,
    leave_one_out,
)
from heed.model.inference import OnnxClassifier
from heed.model.text import Encoding

Floats = NDArray[np.float64]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Attribution:
    """The scores of one method for n texts, and its cost."""

    scores: list[Floats]
    """(T,) for each text. A larger score means that the token supports the class more."""
    passes: str
    """Runs of the network for one text, in addition to the run that gives the answer."""
    milliseconds: float
    """Time for one text, in batches. For attention and contributions: of the run that gives both
    the answer and the scores."""


def attribute(
    classifier: OnnxClassifier,
    scorer: DeletionScorer,
    encodings: Sequence[Encoding],
    texts: Sequence[ExplainedText],
) -> dict[str, Attribution]:
    """Apply the methods that need only the bundle. Returns the attributions by method.

    - `random`: uniform scores between -1 and 1, the baseline;
    - `attention` and `contributions`: outputs of the network;
    - `leave one out`: the fall of the probability when the token is deleted.
    """
    random = np.random.default_rng(0)
    with_attention, attention_ms = timed(lambda: classifier.run_all(encodings, "attention"))
    with_contributions, contributions_ms = timed(
        lambda: classifier.run_all(encodings, "contributions")
    )
    effects, effects_ms = timed(lambda: _leave_one_out(scorer, texts))
    mean_tokens = np.mean([len(text.ids) for text in texts])
    contributions = [
        np.asarray(prediction.contributions, np.float64)[:, text.label]
        for prediction, text in zip(with_contributions, texts, strict=True)
    ]
    attention = [np.asarray(prediction.attention, np.float64) for prediction in with_attention]
    baseline = [random.uniform(-1, 1, len(text.ids)) for text in texts]
    return {
        "random": Attribution(baseline, "0", 0.0),
        "attention": Attribution(attention, "0", attention_ms),
        "contributions": Attribution(contributions, "0", contributions_ms),
        LEAVE_ONE_OUT: Attribution(effects, f"{mean_tokens:.0f}", effects_ms),
    }


def timed(function: Callable[[], list[Result]]) -> tuple[list[Result], float]:
    """Call a function. Returns its results, and the milliseconds for each result."""
    start = time.perf_counter()
    results = function()
    return results, (time.perf_counter() - start) * 1000 / len(results)


def _leave_one_out(scorer: DeletionScorer, texts: Sequence[ExplainedText]) -> list[Floats]:
    effects = []
    for start in range(0, len(texts), CHUNK_TEXTS):
        effects += leave_one_out(scorer, texts[start : start + CHUNK_TEXTS])
        scorer.clear()
    return effects
