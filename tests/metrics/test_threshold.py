"""The threshold below which no label is given."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heed.model.inference.bundle import BundleConfig
from heed.model.metrics.threshold import choose_threshold, describe_threshold

confidences = st.lists(st.integers(1, 20).map(lambda n: n / 20), max_size=30)
rows = st.lists(st.tuples(st.integers(1, 20).map(lambda n: n / 20), st.booleans()), min_size=1)


def precision(threshold: float, dev: list[tuple[float, bool]], outside: list[float]) -> float:
    given_ = [right for confidence, right in dev if confidence >= threshold]
    strays = sum(confidence >= threshold for confidence in outside)
    return sum(given_) / (len(given_) + strays) if given_ or strays else 1.0


def choose(dev: list[tuple[float, bool]], outside: list[float], target: float | None):  # type: ignore[no-untyped-def]
    confidence, right = (np.array(part) for part in zip(*dev, strict=True))
    return choose_threshold(confidence, right, np.array(outside), target)


@given(rows, confidences, st.floats(0, 1))
def test_the_lowest_that_is_precise_enough(
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
def test_without_a_target_one_in_a_hundred_is_the_price(
    dev: list[tuple[float, bool]], outside: list[float]
) -> None:
    chosen = choose(dev, outside, None)
    threshold = chosen.min_confidence
    hits = [confidence for confidence, right in dev if right]
    assert sum(confidence < threshold for confidence in hits) <= 0.01 * len(dev)
    refused = [confidence < threshold for confidence in outside]
    if outside:
        assert chosen.out_of_scope_refused == pytest.approx(np.mean(refused))
    # One level higher and the price is too high, or there is none.
    above = [level for level in {*(c for c, _ in dev), *outside} if level >= threshold]
    if len(above) > 1:
        given_up = 0.01 * len(dev)
        assert sum(c <= min(above) for c in hits) > max(0, given_up - given_up**0.5)


def test_the_price_leaves_room_for_chance() -> None:
    """Of 3,000 rows 1 in 100 is 30, and that varies by 5.5: 24 are given up on dev."""
    dev = [(place / 3000, True) for place in range(3000)]
    chosen = choose(dev, [0.001], None)
    assert chosen.coverage == pytest.approx(1 - 24 / 3000)
    assert chosen.out_of_scope_refused == 1


def test_what_was_measured() -> None:
    dev = [(0.9, True), (0.8, True), (0.7, False), (0.6, True)]
    chosen = choose(dev, [0.95, 0.5], 0.75)
    assert chosen.min_confidence is None
    chosen = choose(dev, [0.5], 0.75)
    assert chosen.min_confidence == pytest.approx(0.55)
    assert (chosen.coverage, chosen.precision, chosen.out_of_scope_refused) == (1, 0.75, 1)
    assert choose(dev, [], 0.5).min_confidence == 0
    assert "out_of_scope_refused" not in choose(dev, [], 0.5).to_dict()


def test_what_was_chosen_is_told_in_words() -> None:
    dev = {"coverage": 0.9, "precision": 0.95, "out_of_scope_refused": 0.5}
    known = {
        "format": 1, "name": "a", "version": "1", "labels": ["x", "y"], "max_tokens": 8,
        "bias": [0, 0], "temperature": 1, "sha256": {}, "scores": {"dev": dev},
    }  # fmt: skip

    def told(threshold: float | None, outside: int) -> str:
        asked = {"target_precision": 0.97, "out_of_scope": outside}
        more = {"min_confidence": threshold, "training": {"abstaining": asked}}
        return describe_threshold(BundleConfig.model_validate(known | more))

    assert told(0.6, 0).startswith("Below a probability of 0.600 no label is given. On dev 90.0%")
    assert told(0.6, 4).endswith("of 4 such texts 50.0% get none.")
    assert told(0.0, 0) == "A label is always given, as 95.0% of those on dev are right."
    assert told(None, 0).startswith("No threshold makes 97.0% of the labels given on dev right")
