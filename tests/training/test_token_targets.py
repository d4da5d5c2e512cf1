"""What a teacher makes of tokens: reduced, told for another tokenizer's tokens, and learnt."""

import numpy as np
import pytest
import torch

from heed.model.nn.losses import distillation_loss
from heed.model.nn.network import Network, NetworkConfig
from heed.model.training.config import TrainConfig
from heed.model.training.dataset import Dataset
from heed.model.training.token_targets import StateProjection, TokenTargets, align_token_targets
from heed.model.training.trainer import train_network


def test_a_reduction_keeps_what_varies_most() -> None:
    torch.manual_seed(0)
    states = torch.randn(2000, 100) * torch.linspace(3, 0.1, 100) + 5
    reduction = StateProjection.fit(states)
    token_targets = reduction(states).float()
    assert token_targets.shape == (2000, 64)
    assert token_targets.square().mean().sqrt() == pytest.approx(127 / 8, rel=0.05)
    back = token_targets @ torch.linalg.pinv(reduction.directions) + reduction.mean
    assert (back - states).square().mean() < 0.1 * states.var()


def test_a_reduction_of_few_numbers_and_of_nothing() -> None:
    assert StateProjection.fit(torch.randn(50, 10))(torch.randn(3, 4, 10)).shape == (3, 4, 10)
    same = torch.ones(7, 10)
    assert (StateProjection.fit(same)(same) == 0).all()


def spans(*pairs: tuple[int, int]) -> np.ndarray:
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def test_tokens_of_two_tokenizers() -> None:
    token_targets = np.array([[10, 0], [20, 0], [0, 40]], dtype=np.int8)
    theirs = spans((0, 3), (3, 5), (6, 9))
    same = align_token_targets(theirs, theirs, token_targets)
    assert same.tolist() == token_targets.tolist()
    whole_words = align_token_targets(spans((0, 5), (6, 9)), theirs, token_targets)
    assert whole_words.tolist() == [[15, 0], [0, 40]]
    pieces = align_token_targets(
        spans((0, 1), (1, 4), (4, 5), (5, 6), (6, 7)), theirs, token_targets
    )
    assert pieces.tolist() == [[10, 0], [15, 0], [20, 0], [0, 0], [0, 40]]
    cut = align_token_targets(spans((0, 5), (6, 9), (10, 12)), theirs[:2], token_targets[:2])
    assert cut.tolist() == [[15, 0]]
    assert align_token_targets(spans((0, 5)), spans(), token_targets[:0]).shape == (0, 2)


def test_a_batch_of_hints() -> None:
    token_targets = TokenTargets(np.arange(10, dtype=np.int8).reshape(5, 2), np.array([0, 2, 2, 5]))
    numbers, given = token_targets.batch(np.array([2, 1, 0]), 2)
    assert given.tolist() == [[True, True], [False, False], [True, True]]
    assert (numbers * 127 / 8).round().int().tolist() == [
        [[4, 5], [6, 7]],
        [[0, 0], [0, 0]],
        [[0, 1], [2, 3]],
    ]
    none_given = distillation_loss(torch.ones(1, 2, 2), torch.zeros(1, 2, 2), torch.zeros(1, 2))
    assert none_given == 0


def test_hints_teach_what_labels_do_not() -> None:
    """Labels tell whether a text begins oddly; hints tell it of what stands before each token."""
    random = np.random.default_rng(0)
    ids = random.integers(1, 9, (400, 6))
    before = np.concatenate([np.zeros((400, 1), dtype=int), ids[:, :-1]], axis=1) % 2
    numbers = np.where(before[:, :, None], 16, -16).astype(np.int8).reshape(-1, 1)
    starts = np.arange(401) * 6
    token_targets = TokenTargets(numbers, starts)
    data = Dataset(
        ids.ravel().astype(np.int32), starts, ids[:, 0] % 2,
        targets=np.eye(2, dtype=np.float16)[ids[:, 0] % 2], token_targets=token_targets,
    )  # fmt: skip
    config = TrainConfig(
        vocabulary=9, max_tokens=6, epochs=12, batch=16, patience=99, width=16, heads=2, hidden=32,
        context_gradients=True, dropout=0.0, token_dropout=0.0, rare_dropout=0.0,
    )  # fmt: skip

    def difference(network: Network) -> float:
        network.train()
        found = network(data.batch(np.arange(400))[0]).token_targets
        assert found is not None
        return distillation_loss(found, *token_targets.batch(np.arange(400), 6)).item()

    torch.manual_seed(0)
    sizes = NetworkConfig(
        vocabulary=9,
        classes=2,
        max_tokens=6,
        width=16,
        heads=2,
        hidden=32,
        token_targets=1,
        dropout=0.0,
    )
    assert difference(Network(sizes)) > 0.9
    taught = train_network(sizes, config, data, data.take(np.arange(40)))
    assert difference(taught) < 0.3
    taught.eval()
    assert taught(data.batch(np.arange(4))[0]).token_targets is None
