"""Choose the probability below which the classifier gives no label, on dev (Chow 1970)."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heed.model.inference import BundleConfig

MAX_ACCURACY_LOSS = 0.01
"""Share of the dev rows that may lose a right label, to reject out-of-scope texts."""

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]


@dataclass(frozen=True)
class ThresholdChoice:
    """A threshold and its effect on dev."""

    min_confidence: float | None
    """Below it no label is given; None if no threshold reaches the target precision."""
    coverage: float
    """Share of the dev rows that get a label."""
    precision: float
    """Share of the given labels that are right; a label of an out-of-scope text is wrong."""
    out_of_scope_refused: float | None
    """Share of the out-of-scope texts that get no label; None if there are no such texts."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields for `config.json`, without those that are None."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def choose_threshold(
    confidence: Floats, right: Booleans, outside: Floats, target_precision: float | None
) -> ThresholdChoice:
    """Choose the threshold: a text whose highest probability is below it gets no label.

    With a target precision, it is the lowest threshold that reaches the target. Without one, it is
    the highest threshold that costs at most `MAX_ACCURACY_LOSS` of accuracy. The cost is reduced by
    its standard deviation on dev (the square root of the number of rows), so that it holds on other
    rows too.

    Args:
        confidence: (n,) highest probability of each dev row.
        right: (n,) True if its label is right.
        outside: (m,) highest probability of each out-of-scope text.
        target_precision: 0 to 1, or None.
    """
    all_values = np.sort(np.concatenate([confidence, outside]))
    levels = np.unique(all_values)
    answered = len(all_values) - np.searchsorted(all_values, levels)
    hits = np.sort(confidence[right])
    correct = len(hits) - np.searchsorted(hits, levels)  # decreases with the level
    if target_precision is not None:
        fitting = np.flatnonzero(correct / answered >= target_precision - 1e-12)[:1]
    else:
        loss = MAX_ACCURACY_LOSS * len(right)
        fitting = np.flatnonzero(correct >= len(hits) - max(0.0, loss - loss**0.5))[-1:]
    if not len(fitting):
        return _measure_threshold(None, confidence, right, outside)
    # Halfway to the next lower level, so that rounding does not move a text across the threshold.
    index = int(fitting[0])
    threshold = float(levels[index - 1] + levels[index]) / 2 if index else 0.0
    return _measure_threshold(threshold, confidence, right, outside)


def _measure_threshold(
    threshold: float | None, confidence: Floats, right: Booleans, outside: Floats
) -> ThresholdChoice:
    labelled, labelled_outside = confidence >= (threshold or 0.0), outside >= (threshold or 0.0)
    total = int(labelled.sum() + labelled_outside.sum())
    return ThresholdChoice(
        threshold,
        float(labelled.mean()),
        float((labelled & right).sum() / total) if total else 1.0,
        float(1 - labelled_outside.mean()) if len(outside) else None,
    )


def describe_threshold(config: BundleConfig) -> str:
    """Describe the threshold of a bundle in one or two sentences; empty if none was requested."""
    request = config.training.get("abstaining")
    if request is None:
        return ""
    dev = config.scores["dev"]
    if config.min_confidence is None:
        return (
            f"No threshold reaches a precision of {request['target_precision']:.1%} on dev "
            f"(without a threshold it is {dev['precision']:.1%}), so every text gets a label."
        )
    if config.min_confidence:
        text = (
            f"Below a probability of {config.min_confidence:.3f} the classifier gives no label. On "
            f"dev {dev['coverage']:.1%} of the rows get a label, and {dev['precision']:.1%} of "
            "these labels are right"
        )
    else:
        text = f"Every text gets a label: {dev['precision']:.1%} of the labels on dev are right"
    if outside := request["out_of_scope"]:
        text += (
            ", counting labels of out-of-scope texts as wrong. Of "
            f"{outside:,} out-of-scope texts {dev['out_of_scope_refused']:.1%} get no label"
        )
    return text + "."
