"""`heed evaluate`: from a bundle and a data file to what is known of it.

What is run is the bundle's ONNX. Needs no PyTorch, but for the methods of explaining that follow
gradients.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heed.model.data.hub import with_default_split
from heed.model.data.labelled import LabelledTexts, label_ids, read_labelled
from heed.model.data.rationales import has_rationales, read_rationales
from heed.model.errors import DataError, TextError
from heed.model.evaluation.comparison import ExplanationComparison, compare_explanations
from heed.model.inference.bundle import Bundle
from heed.model.inference.classifier import OnnxClassifier
from heed.model.inference.session import Device
from heed.model.metrics.classification import ClassificationScores, score_predictions
from heed.model.paths import as_utf8

CHUNK = 1024
"""Texts predicted at a time, as a tokenized text holds too much to keep all."""
MAX_EXPLAINED_TEXTS = 2000


@dataclass(frozen=True)
class Evaluation:
    """A bundle, the n rows it was tried on and what came out."""

    classifier: OnnxClassifier
    data: LabelledTexts
    truth: NDArray[np.int64]  # (n,)
    probabilities: NDArray[np.float64]  # (n, C)
    scores: ClassificationScores
    comparison: ExplanationComparison | None

    @property
    def data_name(self) -> str:
        """The name of the file."""
        return as_utf8(self.data.path.name)

    def to_dict(self) -> dict[str, Any]:
        """What `--json` prints."""
        config = self.classifier.config
        place = {"model": config.name, "version": config.version, "data": self.data_name}
        tree = place | self.scores.to_dict()
        if self.comparison is not None:
            tree["explanations"] = self.comparison.to_dict()
        return tree


def evaluate_bundle(
    bundle: Path,
    data: Path,
    *,
    text_column: str = "text",
    label_column: str | None = None,
    explanations: bool = False,
    checkpoint: Path | None = None,
    limit: int = MAX_EXPLAINED_TEXTS,
    device: Device = "cpu",
) -> Evaluation:
    """Score a bundle on a data file.

    Args:
        bundle: its folder.
        data: `.csv`, `.tsv`, `.jsonl` (each also `.gz`) or `.parquet`, or a public set by its name,
            see `model.hub`; without a split its test split.
        text_column: where the text is.
        label_column: where the label is; None: `label`, or `binary` in a marked file that has it.
        explanations: compare ways of explaining too, with people's marks where `data` has them.
        checkpoint: see `compare_explanations`.
        limit: see `compare_explanations`.
        device: what the network runs on.

    Raises:
        HeedError: the bundle, or a row of the data, cannot be used.
    """
    if checkpoint is not None and not explanations:
        raise DataError("--checkpoint is for --explanations; add that, or leave it out")
    classifier = OnnxClassifier(Bundle.load(bundle), device)
    config = classifier.config
    data = with_default_split(data, "test")
    rationale_texts = None
    if explanations and has_rationales(data):
        rows, rationale_texts = read_rationales(data, text_column, label_column)
    else:
        rows = read_labelled(data, text_column, label_column or "label")
    truth = label_ids(rows, config.labels)
    probabilities = _predict(classifier, rows)
    scores = score_predictions(probabilities, truth, config.labels, config.min_confidence)
    comparison = None
    if explanations:
        comparison = compare_explanations(
            classifier,
            rows.texts,
            probabilities,
            truth,
            rationale_texts,
            limit=limit,
            checkpoint=checkpoint,
        )
    return Evaluation(classifier, rows, truth, probabilities, scores, comparison)


def _predict(classifier: OnnxClassifier, rows: LabelledTexts) -> NDArray[np.float64]:
    found = np.empty((len(rows.texts), len(classifier.config.labels)))
    for start in range(0, len(rows.texts), CHUNK):
        chunk = rows.texts[start : start + CHUNK]
        try:
            predictions = classifier.predict(chunk, "none")
        except TextError as error:
            raise _unreadable(classifier, rows) from error
        found[start : start + CHUNK] = [prediction.probabilities for prediction in predictions]
    return found


def _unreadable(classifier: OnnxClassifier, rows: LabelledTexts) -> DataError:
    """The error that names the first row whose text has no token."""
    for place, text in enumerate(rows.texts):
        try:
            classifier.encode(text)
        except TextError as error:
            return DataError(f"{rows.where(place)}: {error}, or take the row out")
    raise AssertionError("a text failed that now does not")
