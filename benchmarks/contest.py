"""Score and time several classifiers on the same rows."""

import os
import random
import statistics
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.rivals import Floats, Method, Settings
from heed.model.commands.options import TrainingRows
from heed.model.data.labelled import label_ids
from heed.model.errors import DataError
from heed.model.inference.bundle import Bundle
from heed.model.inference.classifier import OnnxClassifier, softmax
from heed.model.metrics.calibration import fit_temperature
from heed.model.metrics.classification import score_predictions

TIMED = 200
"""Test texts that are timed, drawn at random, the same for every method."""
ROUNDS = 5
CHUNK = 1024
"""Texts scored at a time."""
LEAST = 1e-9
"""Probabilities below it count as it where a logarithm is taken."""


@dataclass(frozen=True)
class Figures:
    """What was measured of one method on one set."""

    method: str
    accuracy: float
    macro_f1: float
    ece: float
    """Of the probabilities as the method gives them, 15 equal-width bins."""
    ece_fitted: float
    """With a temperature fitted on dev, as a bundle's is."""
    microseconds: float
    """A text on one core, one at a time, from its characters to its probabilities."""
    microseconds_together: float
    """The same with all timed texts handed over at once, batched as the method likes."""
    bytes: int
    settings: Settings
    """Chosen on dev."""


@dataclass(frozen=True)
class Comparison:
    """All methods on one set."""

    name: str
    rows: dict[str, int]
    characters: float
    """Of a timed text, the mean."""
    figures: list[Figures]
    left_out: list[str]
    """Why a method is missing."""


class Heed:
    """A bundle with the attention that it answers with by default."""

    name = "Heed"

    def __init__(self, path: Path, labels: Sequence[str]) -> None:
        """Raises `HeedError` when it cannot be loaded or has other labels."""
        self._classifier = OnnxClassifier(Bundle.load(path))
        self.size = sum(file.stat().st_size for file in path.iterdir())
        self.settings: Settings = {}
        if self._classifier.config.labels != list(labels):
            raise DataError(f"{path}: its labels are not those of the train rows")

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """Texts to probabilities (n, C)."""
        found = self._classifier.predict(texts, "attention")
        return np.stack([prediction.probabilities for prediction in found])


def compare(
    name: str, rows: TrainingRows, methods: Iterable[Method | str], limit: int | None = None
) -> Comparison:
    """Score each method on the test rows and time them in turns.

    Args:
        name: of the set.
        rows: with test rows.
        methods: trained; or why one is left out.
        limit: most test rows.

    Raises:
        DataError: there are no test rows.
    """
    if rows.test is None:
        raise DataError("there are no test rows; name some with --test")
    test = rows.test.take(range(min(limit or len(rows.test.texts), len(rows.test.texts))))
    labels = sorted(set(rows.train.labels))
    entered: list[Method] = []
    left_out: list[str] = []
    for method in methods:
        if isinstance(method, str):
            print(f"{name}: left out: {method}", file=sys.stderr)
            left_out.append(method)
        else:
            print(f"{name}: {method.name} is trained", file=sys.stderr)
            entered.append(method)
    timed = random.Random(5).sample(test.texts, min(TIMED, len(test.texts)))
    alone, together = _times(entered, timed)
    of_dev, of_test = label_ids(rows.dev, labels), label_ids(test, labels)
    figures = []
    for method in entered:
        found = _probabilities(method, test.texts)
        on_dev = np.log(np.maximum(_probabilities(method, rows.dev.texts), LEAST))
        fitted = softmax(np.log(np.maximum(found, LEAST)) / fit_temperature(on_dev, of_dev))
        scores = score_predictions(found, of_test, labels)
        # fmt: off
        figures.append(Figures(
            method.name, scores.accuracy, scores.macro_f1, scores.ece,
            score_predictions(fitted, of_test, labels).ece, alone[method.name], together[method.name],
            method.size, method.settings,
        ))
        # fmt: on
    counts = {"train": len(rows.train.texts), "dev": len(of_dev), "test": len(of_test)}
    return Comparison(name, counts, sum(map(len, timed)) / len(timed), figures, left_out)


def _probabilities(method: Method, texts: Sequence[str]) -> Floats:
    parts = range(0, len(texts), CHUNK)
    return np.concatenate([method.probabilities(texts[at : at + CHUNK]) for at in parts])


def _times(
    methods: Sequence[Method], texts: Sequence[str]
) -> tuple[dict[str, float], dict[str, float]]:
    """Microseconds a text of each method, one at a time and all together: medians of the rounds."""
    alone: dict[str, list[float]] = {method.name: [] for method in methods}
    together: dict[str, list[float]] = {method.name: [] for method in methods}
    with _on_one_core():
        for _ in range(ROUNDS):
            for method in methods:
                began = time.perf_counter()
                for text in texts:
                    method.probabilities([text])
                between = time.perf_counter()
                method.probabilities(texts)
                alone[method.name].append(between - began)
                together[method.name].append(time.perf_counter() - between)

    def of_a_text(rounds: dict[str, list[float]]) -> dict[str, float]:
        each = 1e6 / len(texts)
        return {name: round(statistics.median(t) * each, 1) for name, t in rounds.items()}

    return of_a_text(alone), of_a_text(together)


@contextmanager
def _on_one_core() -> Iterator[None]:
    """Keep to the core in use, where the system can do that."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
