"""What people use for small text classification, trained on Heed's rows, tuned on its dev rows."""

import os
import pickle
import re
import tempfile
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from heed.model.data.labelled import LabelledTexts, label_ids
from heed.model.errors import HeedError

Floats = NDArray[np.float64]
Settings = dict[str, float]

REQUIREMENTS = "benchmarks/quality.txt"
RATES, EPOCHS, WIDTHS = (0.1, 0.5, 1.0), (5, 15, 40, 100), (10, 50, 100)
"""fastText: every rate with every number of epochs at the middle width, then the best at others."""
MOST_WORDS = 100_000_000
"""Read in one training of fastText; more epochs than that gives are not tried."""
STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Logistic regression: C, the inverse of the penalty's weight."""

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+|[^\w\s]")


def words(text: str) -> list[str]:
    """Words and signs in lower case; Chinese and Japanese characters one by one."""
    return _WORD.findall(text.lower())


class Method(Protocol):
    """A trained classifier."""

    name: str
    size: int
    """Bytes on disk."""
    settings: Settings
    """What was chosen on dev."""

    def probabilities(self, texts: Sequence[str]) -> Floats:
        """Texts to probabilities (n, C)."""
        ...


class FastText:
    """fastText with word bigrams (Joulin et al. 2017), its rate, epochs and width tuned on dev."""

    name = "fastText, bigrams"

    def __init__(self, train: LabelledTexts, dev: LabelledTexts, labels: Sequence[str]) -> None:
        """Raises `HeedError` where the package is missing."""
        if find_spec("fasttext") is None:
            raise HeedError(f"fasttext is not installed; `pip install -r {REQUIREMENTS}`")
        fasttext: Any = import_module("fasttext")
        self._classes = len(labels)
        truth = label_ids(dev, labels)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "train.txt"
            pairs = zip(label_ids(train, labels), train.texts, strict=True)
            lines = [f"__label__{n} {' '.join(words(text))}\n" for n, text in pairs]
            file.write_text("".join(lines), encoding="utf-8")
            read = sum(line.count(" ") for line in lines)
            epochs = [epoch for epoch in EPOCHS if epoch * read <= MOST_WORDS] or EPOCHS[:1]

            def accuracy(settings: Settings) -> float:
                self._model = fasttext.train_supervised(
                    str(file), wordNgrams=2, thread=os.cpu_count(), verbose=0, seed=0, **settings
                )
                return float((self.probabilities(dev.texts).argmax(axis=1) == truth).mean())

            middle = WIDTHS[len(WIDTHS) // 2]
            grid: list[Settings] = [
                {"lr": lr, "epoch": epoch, "dim": middle} for lr, epoch in product(RATES, epochs)
            ]
            best = max(grid, key=accuracy)
            self.settings = max([best | {"dim": dim} for dim in WIDTHS], key=accuracy)
            accuracy(self.settings)  # trains it once more
            saved = Path(folder) / "model.bin"
            self._model.save_model(str(saved))
            self.size = saved.stat().st_size

    def probabilities(self, texts: Sequence[str]) -> Floats:
        found = np.zeros((len(texts), self._classes))
        for row, text in zip(found, texts, strict=True):
            for share, label in self._model.f.predict(" ".join(words(text)) + "\n", -1, 0.0, ""):
                row[int(label.removeprefix("__label__"))] = share
        found /= np.maximum(found.sum(axis=1, keepdims=True), 1e-9)
        return found


class Tfidf:
    """TF-IDF of words and word pairs with logistic regression, its penalty tuned on dev."""

    name = "TF-IDF, logistic regression"

    def __init__(self, train: LabelledTexts, dev: LabelledTexts, labels: Sequence[str]) -> None:
        self._vectors = TfidfVectorizer(
            tokenizer=words, token_pattern=None, lowercase=False, ngram_range=(1, 2),
            min_df=2, sublinear_tf=True,
        )  # fmt: skip
        rows = self._vectors.fit_transform(train.texts)
        numbers, truth = label_ids(train, labels), label_ids(dev, labels)
        of_dev = self._vectors.transform(dev.texts)
        best = -1.0
        for strength in STRENGTHS:
            model = LogisticRegression(C=strength, max_iter=1000).fit(rows, numbers)
            accuracy = float((model.predict(of_dev) == truth).mean())
            if accuracy > best:
                best, self._model, self.settings = accuracy, model, {"C": strength}
        self.size = len(pickle.dumps((self._vectors, self._model)))

    def probabilities(self, texts: Sequence[str]) -> Floats:
        found: Any = self._model.predict_proba(self._vectors.transform(texts))
        return np.asarray(found, dtype=np.float64)
