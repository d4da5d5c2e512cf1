"""`heed evaluate`: score the ONNX network of a bundle on a data file.

Needs PyTorch only for the gradient methods of explanation.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heed.model.data import (
    LabelledTexts,
    has_rationales,
    label_ids,
    read_labelled,
    read_rationales,
    with_default_split,
)
from heed.model.errors import DataError, TextError
from heed.model.evaluation.compare_explanations import (
    ExplanationComparison,
    compare_explanations,
)
from heed.model.inference import Bundle, Device, OnnxClassifier
from heed.model.metrics import ClassificationScores, score_predictions
from heed.model.paths import as_utf8

CHUNK_TEXTS = 1024
"""Number of texts predicted at a time, to bound the memory of tokenized texts."""
MAX_EXPLAINED_TEXTS = 2000
"""Default maximum number of texts in a comparison of explanations."""


@dataclass(frozen=True)
class Evaluation:
    """A bundle, n rows of data, and its scores on them."""

    classifier: OnnxClassifier
    data: LabelledTexts
    truth: NDArray[np.int64]  # (n,)
    probabilities: NDArray[np.float64]  # (n, C)
    scores: ClassificationScores
    comparison: ExplanationComparison | None

    @property
    def data_name(self) -> str:
        """Name of the data file."""
        return as_utf8(self.data.path.name)

    def to_dict(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        config = self.classifier.config
        names = {"model": config.name, "version": config.version, "data": self.data_name}
        tree = names | self.scores.to_dict()
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
        bundle: folder of the bundle.
        data: `.csv`, `.tsv`, `.jsonl` (each also `.gz`) or `.parquet` file, or the name of a public
            data set (see `heed.model.data.hub`); its default split is test.
        text_column: column of the text.
        label_column: column of the label; None: `label`, or `binary` if a file with rationales has
            such a column.
        explanations: also compare explanation methods, with rationales if `data` has them.
        checkpoint: see `compare_explanations`.
        limit: see `compare_explanations`.
        device: device of the network.

    Raises:
        HeedError: the bundle or a row of the data cannot be used.
    """
    if checkpoint is not None and not explanations:
        raise DataError(
            "--checkpoint: needs --explanations; add --explanations, or remove --checkpoint"
        )
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
    probabilities = np.empty((len(rows.texts), len(classifier.config.labels)))
    for start in range(0, len(rows.texts), CHUNK_TEXTS):
        chunk = rows.texts[start : start + CHUNK_TEXTS]
        try:
            predictions = classifier.predict(chunk, "none")
        except TextError as error:
            raise _no_token(classifier, rows) from error
        probabilities[start : start + CHUNK_TEXTS] = [
            prediction.probabilities for prediction in predictions
        ]
    return probabilities


def _no_token(classifier: OnnxClassifier, rows: LabelledTexts) -> DataError:
    """Return the error for the first row whose text has no token."""
    for index, text in enumerate(rows.texts):
        try:
            classifier.encode(text)
        except TextError as error:
            return DataError(f"{rows.where(index)}: {error}, or remove the row")
    raise AssertionError("no text without tokens")
