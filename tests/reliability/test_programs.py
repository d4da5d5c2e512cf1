"""The measuring programs themselves: what they compare, generate and compute."""

import json
import math
from pathlib import Path
from random import Random

from benchmarks.reliability.fuzz_inputs import make_body, make_head, make_text
from benchmarks.reliability.harness import percentile, slope
from benchmarks.reliability.soak import same
from benchmarks.reliability.versions import VersionedBundle


def softmax(logits: dict[str, float], temperature: float) -> dict[str, float]:
    powers = {label: math.exp(value / temperature) for label, value in logits.items()}
    return {label: power / sum(powers.values()) for label, power in powers.items()}


def make_bundle(folder: Path) -> VersionedBundle:
    source = folder / "source"
    source.mkdir()
    config = {"name": "reviews", "version": "1", "temperature": 1, "bias": [0, 0], "sha256": {}}
    (source / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return VersionedBundle(source, folder / "bundles")


def test_an_answer_must_have_the_probabilities_of_the_version_that_it_names(
    tmp_path: Path,
) -> None:
    bundle = make_bundle(tmp_path)
    logits = {"negative": -0.4, "positive": 1.1}
    first = {"version": "1.0.1", "probabilities": softmax(logits, 1.1)}
    assert bundle.was_served(first)
    assert not bundle.was_served({**first, "version": "1.0.7"})
    bundle.write(7)
    assert bundle.was_served({"version": "1.0.7", "probabilities": softmax(logits, 1.7)})
    assert not bundle.was_served({**first, "version": "1.0.7"})


def test_answers_are_the_same_within_the_tolerance() -> None:
    assert same({"a": [0.5, "b", None]}, {"a": [0.500001, "b", None]})
    assert not same({"a": 0.5}, {"a": 0.5001})
    assert not same({"a": 0.5}, {"b": 0.5})
    assert not same([0.5], [0.5, 0.5])


def test_a_fuzzing_case_can_be_repeated() -> None:
    for make in (make_body, make_head, make_text):
        assert make(Random(7)) == make(Random(7))
        assert make(Random(7)) != make(Random(8))


def test_the_slope_is_that_of_the_least_squares_line() -> None:
    assert slope([(0, 1), (1, 3), (2, 5)]) == 2
    assert slope([(0, 1)]) == 0


def test_a_percentile_of_nothing_is_none() -> None:
    assert percentile([], 0.5) is None
    assert percentile([3, 1, 2], 0.5) == 2
