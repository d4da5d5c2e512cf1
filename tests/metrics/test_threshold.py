"""The choice of the threshold below which no label is given."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heed.model.bundles import BundleConfig
from heed.model.metrics.threshold import choose_threshold, describe_threshold

confidences = st.lists(st.integers(1, 20).map(lambda n: n / 20), max_size=30)
rows = st.lists(st.tuples(st.integers(1, 20).map(lambda n: n / 20), st.booleans()), min_size=1)


def precision(threshold: float, dev: list[tuple[float, bool]], outside: list[float]) -> float:
    answered = [right for confidence, right in dev if confidence >= threshold]
    labelled_outside = sum(confidence >= threshold for confidence in outside)
    return (
        sum(answered) / (len(answered) + labelled_outside) if answered or labelled_outside else 1.0
    )


def choose(dev: list[tuple[float, bool]], outside: list[float], target: float | None):  # type: ignore[no-untyped-def]
    confidence, right = (np.array(part) for part in zip(*dev, strict=True))
    return choose_threshold(confidence, right, np.array(outside), target)


@given(rows, confidences, st.floats(0, 1))
def test_a_target_precision_gives_the_lowest_threshold_that_reaches_it(
    dev: list[tuple[float, bool]], outside: list[float], target: float
) -> None:
    chosen = choose(dev, outside, target)
    levels = sorted({*(confidence for confidence, _ in dev), *outside})
    fitting = [level for level in levels if precision(level, dev, outside) >= target - 1e-12]
    if not fitting:
        assert chosen.min_confidence is None
        assert chosen.coverage == 1
        return
    below = max((level for level in levels if level < fitting[0]), default=-1.0)
    assert below < chosen.min_confidence <= fitting[0]
    assert chosen.precision == pytest.approx(precision(fitting[0], dev, outside))
    answered = [confidence >= fitting[0] for confidence, _ in dev]
    assert chosen.coverage == pytest.approx(np.mean(answered))


@given(rows, confidences)
def test_without_a_target_at_most_one_percent_of_accuracy_is_lost(
    dev: list[tuple[float, bool]], outside: list[float]
) -> None:
    chosen = choose(dev, outside, None)
    threshold = chosen.min_confidence
    hits = [confidence for confidence, right in dev if right]
    assert sum(confidence < threshold for confidence in hits) <= 0.01 * len(dev)
    refused = [confidence < threshold for confidence in outside]
    if outside:
        assert chosen.out_of_scope_refused == pytest.approx(np.mean(refused))
    # The next higher threshold loses too much, or there is none.
    above = [level for level in {*(c for c, _ in dev), *outside} if level >= threshold]
    if len(above) > 1:
        loss = 0.01 * len(dev)
        assert sum(c <= min(above) for c in hits) > max(0, loss - loss**0.5)


def test_the_allowed_loss_is_reduced_by_its_standard_deviation() -> None:
    """1 % of 3,000 rows is 30, with a standard deviation of 5.5: 24 rows are lost on dev."""
    dev = [(index / 3000, True) for index in range(3000)]
    chosen = choose(dev, [0.001], None)
    assert chosen.coverage == pytest.approx(1 - 24 / 3000)
    assert chosen.out_of_scope_refused == 1


def test_coverage_and_precision_are_measured_on_dev() -> None:
    dev = [(0.9, True), (0.8, True), (0.7, False), (0.6, True)]
    chosen = choose(dev, [0.95, 0.5], 0.75)
    assert chosen.min_confidence is None
    chosen = choose(dev, [0.5], 0.75)
    assert chosen.min_confidence == pytest.approx(0.55)
    assert (chosen.coverage, chosen.precision, chosen.out_of_scope_refused) == (1, 0.75, 1)
    assert choose(dev, [], 0.5).min_confidence == 0
    assert "out_of_scope_refused" not in choose(dev, [], 0.5).to_dict()


def test_the_threshold_is_described_in_words() -> None:
    dev = {"coverage": 0.9, "precision": 0.95, "out_of_scope_refused": 0.5}
    known = {
        "format": 1, "name": "a", "version": "1", "labels": ["x", "y"], "max_tokens": 8,
        "bias": [0, 0], "temperature": 1, "sha256": {}, "scores": {"dev": dev},
    }  # fmt: skip

    def describe(threshold: float | None, outside: int) -> str:
        request = {"target_precision": 0.97, "out_of_scope": outside}
        more = {"min_confidence": threshold, "training": {"abstaining": request}}
        return describe_threshold(BundleConfig.model_validate(known | more))

    assert describe(0.6, 0) == (
        "Below a probability of 0.600 the classifier gives no label. On dev 90.0% of the rows get "
        "a label, and 95.0% of these labels are right."
    )
    assert describe(0.6, 4).endswith("Of 4 out-of-scope texts 50.0% get no label.")
    assert describe(0.0, 0) == "Every text gets a label: 95.0% of the labels on dev are right."
    assert describe(None, 0).startswith("No threshold reaches a precision of 97.0% on dev")
    without = BundleConfig.model_validate(known | {"min_confidence": None})
    assert describe_threshold(without) == ""
