"""Score classifiers, and time them in turns."""

import os
import random
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np

from benchmarks.quality.classifier import Classifier, Floats
from benchmarks.quality.results import Scores, Times
from heed.model.data import LabelledTexts, label_ids
from heed.model.inference import softmax
from heed.model.metrics import fit_temperature, score_predictions

TIMED_TEXTS = 200
"""Test texts that are timed, drawn at random, the same for every classifier."""
ROUNDS = 5
CHUNK = 1024
"""Texts scored at a time."""
MIN_PROBABILITY = 1e-9
"""Smaller probabilities are raised to it before a logarithm."""


def score(
    classifier: Classifier, dev: LabelledTexts, test: LabelledTexts, labels: Sequence[str]
) -> Scores:
    """Score a classifier on test, before and after a temperature is fitted on dev."""
    probabilities = _probabilities(classifier, test.texts)
    dev_logits = np.log(np.maximum(_probabilities(classifier, dev.texts), MIN_PROBABILITY))
    temperature = fit_temperature(dev_logits, label_ids(dev, labels))
    calibrated = softmax(np.log(np.maximum(probabilities, MIN_PROBABILITY)) / temperature)
    test_labels = label_ids(test, labels)
    scores = score_predictions(probabilities, test_labels, labels)
    return Scores(
        accuracy=scores.accuracy,
        macro_f1=scores.macro_f1,
        ece=scores.ece,
        ece_calibrated=score_predictions(calibrated, test_labels, labels).ece,
        bytes=classifier.size,
        settings=classifier.settings,
    )


def _probabilities(classifier: Classifier, texts: Sequence[str]) -> Floats:
    starts = range(0, len(texts), CHUNK)
    return np.concatenate([classifier.probabilities(texts[at : at + CHUNK]) for at in starts])


def draw_timed_texts(test: LabelledTexts) -> list[str]:
    """Return the test texts that are timed."""
    return random.Random(5).sample(test.texts, min(TIMED_TEXTS, len(test.texts)))


def time_in_turns(classifiers: Mapping[str, Classifier], texts: Sequence[str]) -> dict[str, Times]:
    """Return microseconds a text on one core: the medians of rounds that time every classifier."""
    alone: dict[str, list[float]] = {name: [] for name in classifiers}
    batched: dict[str, list[float]] = {name: [] for name in classifiers}
    for classifier in classifiers.values():
        classifier.probabilities(texts[:10])  # warm up
    with _on_one_core():
        for _ in range(ROUNDS):
            for name, classifier in classifiers.items():
                start = time.perf_counter()
                for text in texts:
                    classifier.probabilities([text])
                middle = time.perf_counter()
                classifier.probabilities(texts)
                batched[name].append(time.perf_counter() - middle)
                alone[name].append(middle - start)
    scale = 1e6 / len(texts)
    return {
        name: Times(
            microseconds=round(statistics.median(alone[name]) * scale, 1),
            microseconds_batched=round(statistics.median(batched[name]) * scale, 1),
        )
        for name in classifiers
    }


@contextmanager
def _on_one_core() -> Iterator[None]:
    """Keep the process on one core, where the system supports it."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
