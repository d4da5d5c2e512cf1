"""Few rows: training begins as the linear classifier of token counts."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from model.dataset import Dataset
from model.linear import start_from_linear
from model.network import Network, NetworkConfig
from model.plan import FEW, SMALL_STEPS, TrainConfig, plan
from model.train import logits

VOCABULARY = 40


def make_rows(rows: int, classes: int, seed: int) -> Dataset:
    """Texts of 8 tokens, two of which tell the class."""
    random = np.random.default_rng(seed)
    labels: NDArray[np.int64] = np.arange(rows) % classes
    ids = random.integers(1 + classes, VOCABULARY, (rows, 8))
    ids[:, 2] = ids[:, 5] = 1 + labels
    starts = np.arange(rows + 1) * 8
    return Dataset(ids.ravel().astype(np.int32), starts, labels)


@pytest.mark.parametrize("classes", [2, 3, 12])
def test_the_network_answers_as_the_linear_classifier(classes: int) -> None:
    """Also with more classes than its vectors are wide, as nearly as they can."""
    torch.manual_seed(0)
    data, dev = make_rows(240, classes, 0), make_rows(60, classes, 1)
    network = Network(NetworkConfig(VOCABULARY, classes, max_tokens=8, width=8, dropout=0.0))
    before = (logits(network, dev).argmax(dim=1).numpy() == dev.labels).mean()
    start_from_linear(network, data, dev)
    after = (logits(network, dev).argmax(dim=1).numpy() == dev.labels).mean()
    assert before < 0.9
    assert after > 0.95
    found = network(dev.batch([0])[0])
    assert torch.allclose(found.attention, torch.full((1, 8), 1 / 8))  # it looks at all alike


def test_a_class_without_rows_is_never_the_first_choice() -> None:
    torch.manual_seed(0)
    data = make_rows(100, 2, 0)
    network = Network(NetworkConfig(VOCABULARY, 3, max_tokens=8, width=8, dropout=0.0))
    start_from_linear(network, data, data)
    assert set(logits(network, data).argmax(dim=1).tolist()) == {0, 1}


def test_only_few_rows_begin_so() -> None:
    few, many = plan([8] * FEW, 2, vocabulary=1000), plan([8] * (FEW + 1), 2, vocabulary=1000)
    assert (few.linear_start, few.learning_rate) == (True, SMALL_STEPS)
    assert (many.linear_start, many.learning_rate) == (False, TrainConfig.learning_rate)
    assert plan([8] * 9, 2, vocabulary=1000, learning_rate=0.01).learning_rate == 0.01
