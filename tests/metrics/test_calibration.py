"""Mixture weights and temperature, both fitted on dev."""

import numpy as np
import pytest

from heed.model.inference.classifier import softmax
from heed.model.metrics.calibration import fit_mixture_weights, fit_temperature
from heed.model.metrics.classification import score_predictions


def test_the_accurate_model_gets_the_larger_weight() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(0, 3, 500)
    accurate = 2.0 * np.eye(3)[truth] + random.normal(0, 0.5, (500, 3))
    noise = random.normal(0, 1, (500, 3))
    of_accurate, of_noise = fit_mixture_weights([accurate, noise], truth)
    assert of_accurate > 1
    assert of_noise < 0.2
    assert fit_mixture_weights([noise, accurate], truth) == pytest.approx(
        [of_noise, of_accurate], abs=1e-3
    )


def test_few_rows_leave_the_weights_close_to_one_half() -> None:
    truth = np.array([0, 1, 0])
    accurate = np.eye(2)[truth]
    constant = 0 * accurate
    of_accurate, *of_constant = fit_mixture_weights([accurate, constant, constant], truth)
    assert of_constant == pytest.approx([0.5, 0.5])
    assert 0.5 < of_accurate < 1.5


def test_the_temperature_calibrates() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(size=(4000, 3)) * 2
    truth = np.array([random.choice(3, p=row) for row in softmax(logits)])
    temperature = fit_temperature((logits * 3).astype(np.float32), truth)
    assert temperature == pytest.approx(3, rel=0.1)
    assert score_predictions(softmax(logits * 3 / temperature), truth, ["a", "b", "c"]).ece < 0.02
    perfect = np.eye(3, dtype=np.float32)[truth]
    assert 0.05 < fit_temperature(perfect, truth) < 1, "no error on dev does not mean certainty"
