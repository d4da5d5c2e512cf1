"""Hyperparameters follow from the data unless they are given."""

import pytest

from heed.model.errors import DataError
from heed.model.nn.network import NetworkConfig
from heed.model.training.config import (
    TrainConfig,
    class_weights,
    derive_config,
    vocabulary_size,
)

GIVEN = {"vocabulary": 1000}


def test_batch_epochs_and_max_tokens_follow_the_data() -> None:
    few = derive_config([9] * 200, 2, overrides=GIVEN)
    many = derive_config([300] * 70_000, 2, overrides=GIVEN)
    assert (few.batch, few.epochs, few.max_tokens) == (8, 40, 32)
    assert (many.batch, many.epochs, many.max_tokens) == (64, 4, 304)
    assert (few.context_gradients, many.context_gradients) == (False, True)


def test_a_distilled_training_has_more_updates_and_less_regularisation() -> None:
    config = derive_config([9] * 100, 2, pseudo_labelled=99_900, distilled=True, overrides=GIVEN)
    assert (config.epochs, config.max_tokens) == (6, 32)
    assert (config.label_smoothing, config.token_dropout, config.rare_dropout) == (0, 0, 0)


def test_given_values_replace_derived_ones() -> None:
    config = derive_config([9] * 200, 2, overrides=GIVEN | {"epochs": 3, "width": None})
    assert (config.epochs, config.width) == (3, TrainConfig.width)
    with pytest.raises(DataError, match="--width 10 is not a multiple of --heads 4"):
        derive_config([9] * 200, 2, overrides=GIVEN | {"width": 10, "heads": 4})


def test_the_network_has_the_sizes_of_the_configuration() -> None:
    config = derive_config([9] * 200, 2, overrides=GIVEN | {"width": 16, "blocks": 2})
    assert config.network(700, 2, 64) == NetworkConfig(
        vocabulary=700, classes=2, token_targets=64, max_tokens=32, width=16, blocks=2
    )


def test_the_vocabulary_grows_with_the_text() -> None:
    sizes = [vocabulary_size(["x" * n]) for n in (10, 40_000, 200_000, 10**6, 10**7)]
    assert sizes == [1000, 2000, 5000, 10_000, 16_000]


def test_rare_classes_weigh_more_if_classes_are_imbalanced() -> None:
    assert class_weights([20, 10], class_weight_ratio=3) is None
    weights = class_weights([90, 10], class_weight_ratio=3)
    assert weights is not None
    assert weights[1] / weights[0] == pytest.approx(3)
    assert 0.9 * weights[0] + 0.1 * weights[1] == pytest.approx(1)
