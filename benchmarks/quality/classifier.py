"""The interface of a trained classifier that the comparison scores and times."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from heed.model.inference import Bundle, OnnxClassifier

Floats = NDArray[np.float64]
Settings = dict[str, float]

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+|[^\w\s]")


def split_words(text: str) -> list[str]:
    """Return lower-case words and punctuation; each Chinese or Japanese character is a word."""
    return _WORD.findall(text.lower())


class Classifier(Protocol):
    """A trained classifier."""

    size: int
    """Bytes on disk."""
    settings: Settings
    """Hyperparameters that were chosen on dev."""

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """Return probabilities (texts, labels)."""
        ...


class HeedBundle:
    """A bundle that answers with attention, as `heed serve` does by default."""

    def __init__(self, path: Path) -> None:
        """Load the bundle; raises `HeedError` if it cannot be read."""
        self._classifier = OnnxClassifier(Bundle.load(path))
        self.labels = self._classifier.config.labels
        self.size = sum(file.stat().st_size for file in path.iterdir())
        self.settings: Settings = {}

    def probabilities(self, texts: Sequence[str]) -> Floats:
        predictions = self._classifier.predict(texts, "attention")
        return np.stack([prediction.probabilities for prediction in predictions])
