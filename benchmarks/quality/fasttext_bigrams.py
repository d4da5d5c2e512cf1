"""fastText with word bigrams (Joulin et al. 2017)."""

import json
import os
import tempfile
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality.classifier import Floats, Settings, split_words
from heed.model.data import LabelledTexts, label_ids
from heed.model.errors import HeedError

REQUIREMENTS = "benchmarks/quality/requirements.txt"
LEARNING_RATES, EPOCHS, DIMENSIONS = (0.1, 0.5, 1.0), (5, 15, 40, 100), (10, 50, 100)
"""The grid: every learning rate with every number of epochs at the middle dimension, then the best
of these with the other dimensions."""
MAX_TRAINING_WORDS = 100_000_000
"""Epochs times words of the train rows; larger numbers of epochs are left out of the grid."""
MIN_THREADS = 10
"""fastText fills one tenth of its embedding matrix in each thread, so fewer threads leave the rest
at zero (`findings/fasttext_threads.sh`)."""
MODEL, SETTINGS = "model.bin", "settings.json"


class FastText:
    """A fastText model in a folder."""

    def __init__(self, folder: Path, labels: Sequence[str]) -> None:
        """Load what `train` wrote; raises `HeedError` if fastText is not installed."""
        self._model = _fasttext().load_model(str(folder / MODEL))
        self._classes = len(labels)
        self.size = (folder / MODEL).stat().st_size
        self.settings: Settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))

    def probabilities(self, texts: Sequence[str]) -> Floats:
        return _probabilities(self._model, texts, self._classes)


def train(folder: Path, train: LabelledTexts, dev: LabelledTexts, labels: Sequence[str]) -> None:
    """Write the model with the highest dev accuracy of the grid to a folder.

    Raises:
        HeedError: fastText is not installed.
    """
    fasttext = _fasttext()
    dev_labels = label_ids(dev, labels)
    pairs = zip(label_ids(train, labels), train.texts, strict=True)
    lines = [f"__label__{label} {' '.join(split_words(text))}\n" for label, text in pairs]
    words = sum(line.count(" ") for line in lines)
    epochs = [epoch for epoch in EPOCHS if epoch * words <= MAX_TRAINING_WORDS] or EPOCHS[:1]
    best_accuracy = -1.0
    best: Settings = {}
    with tempfile.TemporaryDirectory() as temporary:
        file = Path(temporary) / "train.txt"
        file.write_text("".join(lines), encoding="utf-8")

        def keep_if_better(settings: Settings) -> None:
            nonlocal best_accuracy, best
            model = fasttext.train_supervised(
                str(file), wordNgrams=2, thread=max(MIN_THREADS, os.cpu_count() or 1), verbose=0,
                seed=0, **settings,
            )  # fmt: skip
            predicted = _probabilities(model, dev.texts, len(labels)).argmax(axis=1)
            accuracy = float((predicted == dev_labels).mean())
            if accuracy > best_accuracy:
                best_accuracy, best = accuracy, settings
                model.save_model(str(folder / MODEL))

        middle = DIMENSIONS[len(DIMENSIONS) // 2]
        for rate, epoch in product(LEARNING_RATES, epochs):
            keep_if_better({"lr": rate, "epoch": epoch, "dim": middle})
        for dimension in DIMENSIONS:
            if dimension != middle:
                keep_if_better(best | {"dim": dimension})
    (folder / SETTINGS).write_text(json.dumps(best), encoding="utf-8")


def _fasttext() -> Any:
    if find_spec("fasttext") is None:
        raise HeedError(f"fasttext is not installed; run `pip install -r {REQUIREMENTS}`")
    return import_module("fasttext")


def _probabilities(model: Any, texts: Sequence[str], classes: int) -> Floats:
    probabilities = np.zeros((len(texts), classes))
    for row, text in zip(probabilities, texts, strict=True):
        for label, share in zip(*model.predict(" ".join(split_words(text)), -1), strict=True):
            row[int(label.removeprefix("__label__"))] = share
    probabilities /= np.maximum(probabilities.sum(axis=1, keepdims=True), 1e-9)
    return probabilities
