"""What the comparison measures, and the files that keep each finished part.

A run can stop and go on: every classifier of a set has a folder `SET/CLASSIFIER` with its model and
`scores.json`, and a set has one `times.json`. A file is used again only if its inputs are the same.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from heed.model.data import LabelledTexts

SCORES, TIMES = "scores.json", "times.json"


@dataclass(frozen=True)
class Scores:
    """Scores of one classifier on the test rows of one set."""

    accuracy: float
    macro_f1: float
    ece: float
    """Of the classifier's own probabilities, 15 bins of equal width."""
    ece_calibrated: float
    """After a temperature was fitted on dev, as a bundle's is."""
    bytes: int
    settings: dict[str, float]
    """Hyperparameters that were chosen on dev."""


@dataclass(frozen=True)
class Times:
    """Microseconds a text on one core, from its characters to its probabilities."""

    microseconds: float
    """One text at a time."""
    microseconds_batched: float
    """All timed texts in one call; the classifier chooses the batches."""


@dataclass(frozen=True)
class Result:
    """One classifier on one set."""

    classifier: str
    scores: Scores
    times: Times


@dataclass(frozen=True)
class SetResults:
    """All classifiers on one set."""

    name: str
    rows: dict[str, int]
    mean_characters: float
    """Of the timed texts."""
    results: list[Result]
    left_out: list[str]
    """Why a classifier is missing."""


def fingerprint(parts: Sequence[LabelledTexts], *more: str) -> str:
    """Return a hash of the rows and of whatever else decides a result."""
    content = [[part.texts, part.labels] for part in parts]
    return hashlib.sha256(json.dumps([content, more]).encode()).hexdigest()


def read(file: Path, inputs: str) -> dict[str, Any] | None:
    """Return what `write` kept for the same inputs, or None."""
    if not file.exists():
        return None
    document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    content: dict[str, Any] = document["content"]
    return content if document["inputs"] == inputs else None


def write(file: Path, inputs: str, content: Mapping[str, Any]) -> None:
    """Keep a finished part; the file appears complete or not at all."""
    temporary = file.with_suffix(".part")
    document = {"inputs": inputs, "content": content}
    temporary.write_text(json.dumps(document, indent=2, allow_nan=False), encoding="utf-8")
    temporary.replace(file)


def as_json(results: Sequence[SetResults]) -> str:
    """Return all results as JSON."""
    return json.dumps([asdict(each) for each in results], indent=2, allow_nan=False) + "\n"
