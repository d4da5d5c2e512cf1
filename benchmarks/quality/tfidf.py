"""Logistic regression on TF-IDF of words and word pairs, by scikit-learn."""

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from benchmarks.quality.classifier import Floats, Settings, split_words
from heed.model.data import LabelledTexts, label_ids

INVERSE_PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Values of C, the inverse of the regularisation strength, that are tried on dev."""
MODEL = "model.pickle"


class Tfidf:
    """The vectorizer and the regression in a folder."""

    def __init__(self, folder: Path) -> None:
        """Load what `train` wrote."""
        content = (folder / MODEL).read_bytes()
        self._vectorizer, self._model = pickle.loads(content)
        self.size = len(content)
        self.settings: Settings = {"C": self._model.C}

    def probabilities(self, texts: Sequence[str]) -> Floats:
        probabilities: Any = self._model.predict_proba(self._vectorizer.transform(texts))
        return np.asarray(probabilities, dtype=np.float64)


def train(folder: Path, train: LabelledTexts, dev: LabelledTexts, labels: Sequence[str]) -> None:
    """Write the model whose C has the highest dev accuracy to a folder."""
    vectorizer = TfidfVectorizer(
        tokenizer=split_words, token_pattern=None, lowercase=False, ngram_range=(1, 2),
        min_df=2, sublinear_tf=True,
    )  # fmt: skip
    features = vectorizer.fit_transform(train.texts)
    dev_features = vectorizer.transform(dev.texts)
    train_labels, dev_labels = label_ids(train, labels), label_ids(dev, labels)
    best_accuracy, best = -1.0, None
    for c in INVERSE_PENALTIES:
        model = LogisticRegression(C=c, max_iter=1000).fit(features, train_labels)
        accuracy = float((model.predict(dev_features) == dev_labels).mean())
        if accuracy > best_accuracy:
            best_accuracy, best = accuracy, model
    (folder / MODEL).write_bytes(pickle.dumps((vectorizer, best)))
