"""Distillation targets: soft labels, and projected and aligned hidden states."""

import numpy as np
import pytest
import torch

from heed.model.nn.auxiliary_losses import distillation_loss
from heed.model.nn.network import Network, NetworkConfig
from heed.model.training.config import TrainConfig
from heed.model.training.dataset import Dataset
from heed.model.training.distillation_targets import (
    TEMPERATURE,
    TRUE_LABEL_SHARE,
    StateProjection,
    TeacherOutputs,
    TokenTargets,
    align_token_targets,
)
from heed.model.training.trainer import train_network


def spans(*pairs: tuple[int, int]) -> np.ndarray:
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def test_soft_labels_mix_the_teacher_and_the_true_label() -> None:
    logits = np.array([[4, 0, 0], [0, 2, 1], [1, 1, 3]], dtype=np.float16)
    no_targets = TokenTargets(np.zeros((0, 2), dtype=np.int8), np.zeros(4, dtype=np.int64))
    projection = StateProjection(torch.zeros(3), torch.zeros(3, 2))
    outputs = TeacherOutputs(logits, no_targets, projection, 1.0)
    true_labels = np.array([1, -1, 1])
    assert outputs.labels(true_labels).tolist() == [1, 1, 1]
    soft = outputs.soft_labels(true_labels).astype(float)
    assert soft.sum(axis=1) == pytest.approx(1, abs=2e-3)
    teacher = np.exp(logits.astype(float) / TEMPERATURE)
    teacher /= teacher.sum(axis=1, keepdims=True)
    assert soft[1] == pytest.approx(teacher[1], abs=1e-3)
    for row in (0, 2):
        mixed = (1 - TRUE_LABEL_SHARE) * teacher[row] + TRUE_LABEL_SHARE * np.eye(3)[1]
        assert soft[row] == pytest.approx(mixed, abs=1e-3)


def test_outputs_are_converted_to_tensors_and_back() -> None:
    projection = StateProjection(torch.zeros(3), torch.zeros(3, 2))
    outputs = TeacherOutputs.empty(2, projection, 0.5)
    again = TeacherOutputs.from_tensors(outputs.to_tensors(), 0.5)
    assert again.logits.shape == (0, 2)
    assert again.token_targets.width == 2
    assert torch.equal(again.projection.directions, projection.directions)


def test_the_projection_keeps_the_first_principal_components() -> None:
    torch.manual_seed(0)
    states = torch.randn(2000, 100) * torch.linspace(3, 0.1, 100) + 5
    projection = StateProjection.fit(states)
    targets = projection(states).float()
    assert targets.shape == (2000, 64)
    assert targets.square().mean().sqrt() == pytest.approx(127 / 8, rel=0.05)
    restored = targets @ torch.linalg.pinv(projection.directions) + projection.mean
    assert (restored - states).square().mean() < 0.1 * states.var()


def test_the_projection_works_for_few_dimensions_and_constant_states() -> None:
    assert StateProjection.fit(torch.randn(50, 10))(torch.randn(3, 4, 10)).shape == (3, 4, 10)
    constant = torch.ones(7, 10)
    assert (StateProjection.fit(constant)(constant) == 0).all()


def test_targets_are_averaged_over_overlapping_tokens() -> None:
    targets = np.array([[10, 0], [20, 0], [0, 40]], dtype=np.int8)
    teacher = spans((0, 3), (3, 5), (6, 9))
    same = align_token_targets(teacher, teacher, targets)
    assert same.tolist() == targets.tolist()
    whole_words = align_token_targets(spans((0, 5), (6, 9)), teacher, targets)
    assert whole_words.tolist() == [[15, 0], [0, 40]]
    smaller = spans((0, 1), (1, 4), (4, 5), (5, 6), (6, 7))
    assert align_token_targets(smaller, teacher, targets).tolist() == [
        [10, 0], [15, 0], [20, 0], [0, 0], [0, 40]
    ]  # fmt: skip
    cut = align_token_targets(spans((0, 5), (6, 9), (10, 12)), teacher[:2], targets[:2])
    assert cut.tolist() == [[15, 0]]
    assert align_token_targets(spans((0, 5)), spans(), targets[:0]).shape == (0, 2)


def test_a_batch_of_token_targets_has_a_mask() -> None:
    targets = TokenTargets(np.arange(10, dtype=np.int8).reshape(5, 2), np.array([0, 2, 2, 5]))
    values, mask = targets.batch(np.array([2, 1, 0]), 2)
    assert mask.tolist() == [[True, True], [False, False], [True, True]]
    assert (values * 127 / 8).round().int().tolist() == [
        [[4, 5], [6, 7]],
        [[0, 0], [0, 0]],
        [[0, 1], [2, 3]],
    ]
    no_mask = torch.zeros(1, 2)
    assert distillation_loss(torch.ones(1, 2, 2), torch.zeros(1, 2, 2), no_mask) == 0


def test_the_network_learns_token_targets_that_labels_do_not_contain() -> None:
    """The label depends on the first token, the target of each token on the token before it."""
    random = np.random.default_rng(0)
    ids = random.integers(1, 9, (400, 6))
    previous = np.concatenate([np.zeros((400, 1), dtype=int), ids[:, :-1]], axis=1) % 2
    values = np.where(previous[:, :, None], 16, -16).astype(np.int8).reshape(-1, 1)
    starts = np.arange(401) * 6
    targets = TokenTargets(values, starts)
    data = Dataset(
        ids.ravel().astype(np.int32), starts, ids[:, 0] % 2,
        soft_labels=np.eye(2, dtype=np.float16)[ids[:, 0] % 2], token_targets=targets,
    )  # fmt: skip
    config = TrainConfig(
        vocabulary=9, max_tokens=6, epochs=12, batch=16, patience=99, width=16, heads=2, hidden=32,
        context_gradients=True, dropout=0.0, token_dropout=0.0, rare_dropout=0.0,
    )  # fmt: skip

    def error(network: Network) -> float:
        network.train()
        predicted = network(data.batch(np.arange(400))[0]).token_targets
        assert predicted is not None
        return distillation_loss(predicted, *targets.batch(np.arange(400), 6)).item()

    torch.manual_seed(0)
    sizes: NetworkConfig = config.network(9, 2, token_targets=1)
    assert error(Network(sizes)) > 0.9
    distilled = train_network(sizes, config, data, data.take(np.arange(40)))
    assert error(distilled) < 0.3
    distilled.eval()
    assert distilled(data.batch(np.arange(4))[0]).token_targets is None
