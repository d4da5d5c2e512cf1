"""Logits and probabilities of texts given as token ids equal those of the texts."""

from pathlib import Path

import numpy as np
import pytest

from heed.model.errors import TextError
from heed.model.inference.bundle import Bundle
from heed.model.inference.classifier import OnnxClassifier

TEXTS = ["What a wonderful film!", "The plot was dreadful and the room was cold.", "x", "ugly"]


@pytest.fixture(scope="module")
def classifier(trained: Path) -> OnnxClassifier:
    return OnnxClassifier(Bundle.load(trained))


def test_token_ids_give_the_logits_and_probabilities_of_the_text(
    classifier: OnnxClassifier,
) -> None:
    predictions = classifier.predict(TEXTS, "none")
    ids = [prediction.encoding.ids for prediction in predictions]
    logits, probabilities = classifier.logits(ids), classifier.probabilities(ids)
    assert logits.shape == probabilities.shape == (4, 2)
    np.testing.assert_allclose(logits, [p.logits for p in predictions], atol=1e-5)
    np.testing.assert_allclose(probabilities, [p.probabilities for p in predictions], atol=1e-6)


def test_predictions_keep_the_order_of_the_texts(classifier: OnnxClassifier) -> None:
    together = classifier.predict(TEXTS, "contributions")
    for text, prediction in zip(TEXTS, together, strict=True):
        (alone,) = classifier.predict([text], "contributions")
        assert alone.encoding.ids == prediction.encoding.ids
        assert alone.contributions is not None
        assert prediction.contributions is not None
        np.testing.assert_allclose(alone.contributions, prediction.contributions, atol=1e-5)


def test_a_text_without_a_token_is_an_error(classifier: OnnxClassifier) -> None:
    with pytest.raises(TextError, match="contains no token"):
        classifier.predict(["fine", " "])
