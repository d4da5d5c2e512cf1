"""The training loop and its parts."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from heed.model.data.labelled import read_labelled
from heed.model.nn.network import Network, NetworkConfig
from heed.model.text.tokenizer import Tokenizer
from heed.model.training.config import TrainConfig
from heed.model.training.dataset import Dataset, tokenize_rows
from heed.model.training.trainer import (
    DeadlinePassed,
    learning_rate,
    predict_logits,
    score_dev,
    train_network,
)

NETWORK = NetworkConfig(vocabulary=300, classes=2, max_tokens=32, width=8, heads=2)
CONFIG = TrainConfig(vocabulary=300, max_tokens=32, epochs=3, batch=16, patience=2, seed=4)


@pytest.fixture(scope="module")
def dataset(train_csv: Path) -> Dataset:
    rows = read_labelled(train_csv).take(range(50))
    return tokenize_rows(rows, Tokenizer.fit(rows.texts, 300), ["negative", "positive"], 32)


def test_the_learning_rate_rises_and_falls() -> None:
    rates = [learning_rate(step, 100, CONFIG) / CONFIG.learning_rate for step in range(100)]
    assert rates[0] == 0.1
    assert rates[9] == rates[10] == 1
    assert rates[99] == pytest.approx(1 / 90)
    assert learning_rate(0, 1, CONFIG) == CONFIG.learning_rate


def test_the_seed_determines_the_tensors(dataset: Dataset) -> None:
    one, same, other = (
        train_network(NETWORK, replace(CONFIG, seed=seed), dataset, dataset) for seed in (4, 4, 5)
    )
    assert torch.equal(one.head.weight, same.head.weight)
    assert not torch.equal(one.head.weight, other.head.weight)


def test_a_training_stops_at_its_deadline(dataset: Dataset) -> None:
    with pytest.raises(DeadlinePassed):
        train_network(NETWORK, CONFIG, dataset, dataset, deadline=-math.inf)


def test_the_initial_embeddings_are_those_given(dataset: Dataset) -> None:
    config = replace(CONFIG, epochs=1, learning_rate=1e-9)
    vectors = torch.linspace(-1, 1, 300 * 8).view(300, 8)
    network = train_network(NETWORK, config, dataset, dataset, initial_embeddings=vectors)
    (weight,) = network.embedding.parameters()
    torch.testing.assert_close(weight, vectors, atol=1e-6, rtol=0)


def test_dev_is_scored_on_the_mixture_with_the_ngram_model(dataset: Dataset) -> None:
    torch.manual_seed(0)
    network = Network(NETWORK)
    accuracy, _ = score_dev(network, dataset)
    assert accuracy < 0.9
    ngram_logits = 5 * np.eye(2, dtype=np.float32)[dataset.labels]
    assert score_dev(network, dataset, ngram_logits) == pytest.approx((1, 0), abs=0.1)
    assert score_dev(network, dataset, 0 * ngram_logits)[0] == accuracy


def test_logits_are_in_the_order_of_the_texts(dataset: Dataset) -> None:
    torch.manual_seed(0)
    network = Network(NETWORK)
    logits = predict_logits(network, dataset)
    alone = network(dataset.batch([7])[0]).logits
    torch.testing.assert_close(logits[7:8], alone, atol=1e-6, rtol=0)
