"""Ways of explaining the same answers of a bundle beside each other: what they say, and cost.

Needs no PyTorch, but for the methods that follow gradients.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heed.model.data.rationales import RationaleText, WordRationales
from heed.model.errors import DataError
from heed.model.evaluation.attributions import attribute
from heed.model.evaluation.faithfulness import DeletionScorer, ExplainedText
from heed.model.evaluation.measures import measure_explanations
from heed.model.inference.classifier import OnnxClassifier, softmax
from heed.model.inference.response import words
from heed.model.text.tokenizer import Encoding

SEED = 0


@dataclass(frozen=True)
class MethodRow:
    """How one method of explaining did."""

    method: str
    passes: str
    """Through the network, a text, beside the one that gives the answer."""
    milliseconds: float
    """A text, in batches, on one thread."""
    measures: dict[str, float]
    """See `explanations.measure`."""


@dataclass(frozen=True)
class ExplanationComparison:
    """The methods, on the same n texts."""

    n: int
    marked: bool
    """Whether these are the texts that people marked and that were classified rightly."""
    rows: list[MethodRow]

    def to_dict(self) -> dict[str, Any]:
        """Everything, in JSON's own types."""
        methods = {
            row.method: {"passes": row.passes, "milliseconds": row.milliseconds} | row.measures
            for row in self.rows
        }
        return {"n": self.n, "marked": self.marked, "methods": methods}


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
    """Explain the predicted class of each text in every way, and measure.

    With marks, texts count that have a marked word and were classified rightly, as it is the
    reason for the right label that people marked.

    Args:
        classifier: what answers.
        texts: n of them.
        probabilities: (n, C) its answers.
        truth: (n,) the right labels' places.
        marked_texts: the texts with people's marks.
        limit: how many texts to explain at most, drawn by a fixed seed.
        checkpoint: the folder of the training that made the bundle; adds the methods that need it.

    Raises:
        DataError: no text is left to explain, or the checkpoint is another's.
    """
    encodings: dict[int, Encoding] = {}
    marks: dict[int, WordRationales] = {}
    for place in np.random.default_rng(SEED).permutation(len(texts)).tolist():
        if rationale_texts is not None and probabilities[place].argmax() != truth[place]:
            continue
        encoding = classifier.encode(texts[place])
        if rationale_texts is not None:
            marks[place] = rationale_texts[place].align(encoding.spans, words(encoding)[1])
            if not marks[place].marked.any():
                continue
        encodings[place] = encoding
        if len(encodings) == limit:
            break
    if not encodings:
        raise DataError("no text to explain: none that is marked was classified rightly")
    places = sorted(encodings)
    subjects = [
        ExplainedText(
            tuple(encodings[p].ids), int(probabilities[p].argmax()), float(probabilities[p].max())
        )
        for p in places
    ]
    config = classifier.config
    empty = softmax(np.array(config.bias) / config.temperature)
    deletion = DeletionScorer(classifier.probabilities, empty)
    methods = attribute(classifier, deletion, [encodings[p] for p in places], subjects)
    if checkpoint is not None:
        from heed.model.evaluation.gradients import attribute_by_gradients, load_network

        network = load_network(checkpoint, classifier.bundle)
        methods |= attribute_by_gradients(network, subjects)
    scores = {name: attribution.scores for name, attribution in methods.items()}
    of_texts = None if rationale_texts is None else [marks[p] for p in places]
    measures = measure_explanations(subjects, scores, deletion, of_texts)
    rows = [
        MethodRow(name, method.passes, method.milliseconds, measures[name])
        for name, method in methods.items()
    ]
    return ExplanationComparison(len(places), rationale_texts is not None, rows)
