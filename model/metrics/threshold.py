"""When to give no label: below a top probability that is chosen on dev (Chow 1970)."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from heed.model.inference.bundle import BundleConfig

MAX_ACCURACY_LOSS = 0.01
"""Share of all rows, answered rightly before, that may be refused for refusing other texts."""

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]


@dataclass(frozen=True)
class ThresholdChoice:
    """A threshold and how it fares on dev."""

    min_confidence: float | None
    """Below it no label is given; None: no threshold is precise enough."""
    coverage: float
    """Share of the dev rows that get a label."""
    precision: float
    """Share of the labels given that are right; an out-of-scope text has no right one."""
    out_of_scope_refused: float | None
    """Share of the out-of-scope texts that get no label; None where there is no such text."""

    def to_dict(self) -> dict[str, Any]:
        """For `config.json`."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def choose_threshold(
    confidence: Floats, right: Booleans, outside: Floats, target_precision: float | None
) -> ThresholdChoice:
    """Choose the top probability below which no label is given.

    With a target it is the lowest whose answers are that precise. Without one it refuses as many
    out-of-scope texts as it can at a price: of 100 rows 1 that would have been answered rightly.
    Of N dev rows that leaves 0.01 N less its standard deviation, so that other rows hold it, too.

    Args:
        confidence: (n,) the top probability of each dev row.
        right: (n,) whether its label is the right one.
        outside: (m,) the top probability of each out-of-scope text.
        target_precision: 0 to 1.
    """
    everything = np.sort(np.concatenate([confidence, outside]))
    levels = np.unique(everything)
    answered = len(everything) - np.searchsorted(everything, levels)
    hits = np.sort(confidence[right])
    correct = len(hits) - np.searchsorted(hits, levels)  # falls as the level rises
    if target_precision is not None:
        fitting = np.flatnonzero(correct / answered >= target_precision - 1e-12)[:1]
    else:
        given = MAX_ACCURACY_LOSS * len(right)
        fitting = np.flatnonzero(correct >= len(hits) - max(0.0, given - given**0.5))[-1:]
    if not len(fitting):
        return _measure_threshold(None, confidence, right, outside)
    # Midway to the next lower one, so that rounding moves no text across.
    place = int(fitting[0])
    threshold = float(levels[place - 1] + levels[place]) / 2 if place else 0.0
    return _measure_threshold(threshold, confidence, right, outside)


def _measure_threshold(
    threshold: float | None, confidence: Floats, right: Booleans, outside: Floats
) -> ThresholdChoice:
    given, strays = confidence >= (threshold or 0.0), outside >= (threshold or 0.0)
    labels_given = int(given.sum() + strays.sum())
    return ThresholdChoice(
        threshold,
        float(given.mean()),
        float((given & right).sum() / labels_given) if labels_given else 1.0,
        float(1 - strays.mean()) if len(outside) else None,
    )


def describe_threshold(config: BundleConfig) -> str:
    """What was chosen and how it fares, in a sentence or two; empty where nothing was asked for."""
    asked = config.training.get("abstaining")
    if asked is None:
        return ""
    dev = config.scores["dev"]
    texts = asked["out_of_scope"]
    if config.min_confidence is None:
        return (
            f"No threshold makes {asked['target_precision']:.1%} of the labels given on dev right "
            f"(without one it is {dev['precision']:.1%}), so a label is always given."
        )
    if config.min_confidence:
        words = (
            f"Below a probability of {config.min_confidence:.3f} no label is given. On dev "
            f"{dev['coverage']:.1%} of the rows get one, and {dev['precision']:.1%} of the labels "
            "given are right"
        )
    else:
        words = f"A label is always given, as {dev['precision']:.1%} of those on dev are right"
    if texts:
        words += (
            f", those given to out-of-scope texts counted as wrong; of {texts:,} such texts "
            f"{dev['out_of_scope_refused']:.1%} get none"
        )
    return words + "."
