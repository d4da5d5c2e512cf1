"""`heed evaluate`: from a bundle and a data file to what is known of it.

What is run is the bundle's ONNX. Needs no PyTorch, but for the methods of explaining that follow
gradients.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.bundle import Bundle
from model.classifier import Classifier
from model.comparison import Comparison, compare
from model.data import Labelled, label_ids, read_labelled
from model.errors import DataError, TextError
from model.evaluate import Scores, evaluate
from model.hub import in_split
from model.marks import has_marks, read_marked
from model.places import as_utf8
from model.session import Device

CHUNK = 1024
"""Texts predicted at a time, as a tokenized text holds too much to keep all."""
MOST_EXPLAINED = 2000


@dataclass(frozen=True)
class Examination:
    """A bundle, the n rows it was tried on and what came out."""

    classifier: Classifier
    data: Labelled
    truth: NDArray[np.int64]  # (n,)
    probabilities: NDArray[np.float64]  # (n, C)
    scores: Scores
    comparison: Comparison | None

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


def examine(
    bundle: Path,
    data: Path,
    *,
    text_column: str = "text",
    label_column: str | None = None,
    explanations: bool = False,
    checkpoint: Path | None = None,
    limit: int = MOST_EXPLAINED,
    device: Device = "cpu",
) -> Examination:
    """Score a bundle on a data file.

    Args:
        bundle: its folder.
        data: `.csv`, `.tsv`, `.jsonl` (each also `.gz`) or `.parquet`, or a public set by its name,
            see `model.hub`; without a split its test split.
        text_column: where the text is.
        label_column: where the label is; None: `label`, or `binary` in a marked file that has it.
        explanations: compare ways of explaining too, with people's marks where `data` has them.
        checkpoint: see `compare`.
        limit: see `compare`.
        device: what the network runs on.

    Raises:
        HeedError: the bundle, or a row of the data, cannot be used.
    """
    if checkpoint is not None and not explanations:
        raise DataError("--checkpoint is for --explanations; add that, or leave it out")
    classifier = Classifier(Bundle.load(bundle), device)
    config = classifier.config
    data = in_split(data, "test")
    marked_texts = None
    if explanations and has_marks(data):
        rows, marked_texts = read_marked(data, text_column, label_column)
    else:
        rows = read_labelled(data, text_column, label_column or "label")
    truth = label_ids(rows, config.labels)
    probabilities = _predict(classifier, rows)
    scores = evaluate(probabilities, truth, config.labels, config.min_confidence)
    comparison = None
    if explanations:
        comparison = compare(
            classifier,
            rows.texts,
            probabilities,
            truth,
            marked_texts,
            limit=limit,
            checkpoint=checkpoint,
        )
    return Examination(classifier, rows, truth, probabilities, scores, comparison)


def _predict(classifier: Classifier, rows: Labelled) -> NDArray[np.float64]:
    found = np.empty((len(rows.texts), len(classifier.config.labels)))
    for start in range(0, len(rows.texts), CHUNK):
        chunk = rows.texts[start : start + CHUNK]
        try:
            predictions = classifier.predict(chunk, "none")
        except TextError as error:
            raise _unreadable(classifier, rows) from error
        found[start : start + CHUNK] = [prediction.probabilities for prediction in predictions]
    return found


def _unreadable(classifier: Classifier, rows: Labelled) -> DataError:
    """The error that names the first row whose text has no token."""
    for place, text in enumerate(rows.texts):
        try:
            classifier.encode(text)
        except TextError as error:
            return DataError(f"{rows.where(place)}: {error}, or take the row out")
    raise AssertionError("a text failed that now does not")
