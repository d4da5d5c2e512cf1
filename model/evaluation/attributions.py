"""Ways to explain an answer, each one score a token, with what each costs. Needs no PyTorch."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from heed.model.evaluation.faithfulness import (
    CHUNK,
    LEAVE_ONE_OUT,
    DeletionScorer,
    ExplainedText,
    leave_one_out,
)
from heed.model.inference.classifier import Explain, OnnxClassifier, Prediction
from heed.model.text.tokenizer import Encoding, length_batches

Floats = NDArray[np.float64]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Attribution:
    """What one method says of n texts."""

    scores: list[Floats]
    """For each text (T,): the larger, the more the token speaks for the explained class."""
    passes: str
    """Through the network, a text, beside the one that gives the answer."""
    milliseconds: float
    """A text, in batches; for what comes with the answer, the pass that gives both."""


def attribute(
    classifier: OnnxClassifier,
    deletion: DeletionScorer,
    encodings: Sequence[Encoding],
    subjects: Sequence[ExplainedText],
) -> dict[str, Attribution]:
    """By name, what the methods that need nothing but the bundle say.

    - `random`: scores between -1 and 1 that know nothing, which any method must beat;
    - `attention` and `contributions`, which come with the answer;
    - `leave one out`: how much the probability falls when the token is deleted.
    """
    random = np.random.default_rng(0)
    looked, looked_ms = timed(lambda: _run(classifier, encodings, "attention"))
    moved, moved_ms = timed(lambda: _run(classifier, encodings, "contributions"))
    effects, effects_ms = timed(lambda: _leave_one_out(deletion, subjects))
    tokens = np.mean([len(subject.ids) for subject in subjects])
    contributions = [
        np.asarray(prediction.contributions, np.float64)[:, subject.label]
        for prediction, subject in zip(moved, subjects, strict=True)
    ]
    attention = [np.asarray(prediction.attention, np.float64) for prediction in looked]
    chance = [random.uniform(-1, 1, len(subject.ids)) for subject in subjects]
    return {
        "random": Attribution(chance, "0", 0.0),
        "attention": Attribution(attention, "0", looked_ms),
        "contributions": Attribution(contributions, "0", moved_ms),
        LEAVE_ONE_OUT: Attribution(effects, f"{tokens:.0f}", effects_ms),
    }


def timed(work: Callable[[], list[Result]]) -> tuple[list[Result], float]:
    """What a piece of work gives, and the milliseconds it took for each thing that it gave."""
    start = time.perf_counter()
    result = work()
    return result, (time.perf_counter() - start) * 1000 / len(result)


def _run(
    classifier: OnnxClassifier, encodings: Sequence[Encoding], explain: Explain
) -> list[Prediction]:
    found: dict[int, Prediction] = {}
    for group in length_batches(
        [len(encoding.ids) for encoding in encodings], classifier.batch_tokens
    ):
        batch = classifier.run([encodings[place] for place in group], explain)
        found.update(zip(group, batch, strict=True))
    return [found[place] for place in range(len(encodings))]


def _leave_one_out(deletion: DeletionScorer, subjects: Sequence[ExplainedText]) -> list[Floats]:
    effects = []
    for start in range(0, len(subjects), CHUNK):
        effects += leave_one_out(deletion, subjects[start : start + CHUNK])
        deletion.forget()
    return effects
