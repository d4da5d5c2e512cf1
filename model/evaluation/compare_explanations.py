"""Compare explanation methods on the same answers of a bundle: scores and cost.

Needs PyTorch only for the gradient methods, which need a checkpoint.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heed.model.data import RationaleText, WordRationales
from heed.model.errors import DataError
from heed.model.evaluation.attributions import attribute
from heed.model.evaluation.explanation_scores import score_explanations
from heed.model.evaluation.faithfulness import DeletionScorer, ExplainedText
from heed.model.inference import OnnxClassifier, softmax, word_spans
from heed.model.text import Encoding

SEED = 0


@dataclass(frozen=True)
class MethodScores:
    """Scores and cost of one explanation method."""

    method: str
    passes: str
    """Runs of the network for one text, in addition to the run that gives the answer."""
    milliseconds: float
    """Time for one text, in batches, on one thread."""
    scores: dict[str, float]
    """Means of the measures, see `score_explanations`."""


@dataclass(frozen=True)
class ExplanationComparison:
    """The scores of all methods on the same n texts."""

    n: int
    with_rationales: bool
    """True if the texts have rationales; then only correctly classified texts are used."""
    methods: list[MethodScores]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON types."""
        methods = {
            each.method: {"passes": each.passes, "milliseconds": each.milliseconds} | each.scores
            for each in self.methods
        }
        return {"n": self.n, "with_rationales": self.with_rationales, "methods": methods}


@dataclass(frozen=True)
class _Sample:
    """The texts to explain, with the encoding and the rationale of each."""

    texts: list[ExplainedText]
    encodings: list[Encoding]
    rationales: list[WordRationales] | None


def compare_explanations(
    classifier: OnnxClassifier,
    texts: Sequence[str],
    probabilities: NDArray[np.float64],
    truth: NDArray[np.int64],
    rationale_texts: Sequence[RationaleText] | None,
    *,
    limit: int,
    checkpoint: Path | None = None,
) -> ExplanationComparison:
    """Explain the predicted class of each text with every method, and score the explanations.

    With rationales, only texts with a rationale word and a correct prediction are used, because
    people marked the reason for the right label.

    Args:
        classifier: the classifier to explain.
        texts: n texts.
        probabilities: (n, C) probabilities that the classifier gives.
        truth: (n,) index of the right label of each text.
        rationale_texts: the rationale of each text; None if there are none.
        limit: maximum number of texts, drawn with a fixed seed.
        checkpoint: checkpoint folder of the bundle's training; adds the gradient methods.

    Raises:
        DataError: no text can be used, or the checkpoint belongs to another bundle.
    """
    sample = _draw(classifier, texts, probabilities, truth, rationale_texts, limit)
    config = classifier.config
    empty = softmax(np.array(config.bias) / config.temperature)
    scorer = DeletionScorer(classifier.probabilities, empty)
    attributions = attribute(classifier, scorer, sample.encodings, sample.texts)
    if checkpoint is not None:
        from heed.model.evaluation.gradients import attribute_by_gradients, load_network

        network = load_network(checkpoint, classifier.bundle)
        attributions |= attribute_by_gradients(network, sample.texts)
    token_scores = {method: attribution.scores for method, attribution in attributions.items()}
    scores = score_explanations(sample.texts, token_scores, scorer, sample.rationales)
    methods = [
        MethodScores(method, attribution.passes, attribution.milliseconds, scores[method])
        for method, attribution in attributions.items()
    ]
    return ExplanationComparison(len(sample.texts), rationale_texts is not None, methods)


def _draw(
    classifier: OnnxClassifier,
    texts: Sequence[str],
    probabilities: NDArray[np.float64],
    truth: NDArray[np.int64],
    rationale_texts: Sequence[RationaleText] | None,
    limit: int,
) -> _Sample:
    """Draw at most `limit` of the texts that can be used, in the order of the file."""
    encodings: dict[int, Encoding] = {}
    rationales: dict[int, WordRationales] = {}
    for index in np.random.default_rng(SEED).permutation(len(texts)).tolist():
        if rationale_texts is not None and probabilities[index].argmax() != truth[index]:
            continue
        encoding = classifier.encode(texts[index])
        if rationale_texts is not None:
            words = word_spans(encoding)[1]
            rationales[index] = rationale_texts[index].align(encoding.spans, words)
            if not rationales[index].is_rationale.any():
                continue
        encodings[index] = encoding
        if len(encodings) == limit:
            break
    if not encodings:
        raise DataError(
            "--explanations: no text has a rationale and a correct prediction; use a file with "
            "more rationales, or without any"
        )
    indices = sorted(encodings)
    explained = [
        ExplainedText(
            tuple(encodings[i].ids), int(probabilities[i].argmax()), float(probabilities[i].max())
        )
        for i in indices
    ]
    return _Sample(
        explained,
        [encodings[i] for i in indices],
        None if rationale_texts is None else [rationales[i] for i in indices],
    )
