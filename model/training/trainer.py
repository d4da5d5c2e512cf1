"""Train a network: AdamW, warm-up, batches of like length, the best epoch on dev kept."""

import contextlib
import math
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from heed.model.metrics.calibration import Floats, fit_mixture_weights
from heed.model.nn.losses import attention_loss, distillation_loss
from heed.model.nn.network import Network, NetworkConfig
from heed.model.text.tokenizer import length_batches
from heed.model.training.checkpoint import Checkpoint, TrainingState
from heed.model.training.config import TrainConfig, class_weights
from heed.model.training.dataset import (
    Dataset,
    compact_rows,
    sample_kept_tokens,
    token_dropout_probabilities,
)
from heed.model.training.progress import TrainingProgress, curves

DEV_TOKENS = 8192
"""Tokens of one batch without gradients."""


class DeadlinePassed(Exception):
    """A training was not done by its deadline."""


def train_network(
    sizes: NetworkConfig,
    config: TrainConfig,
    data: Dataset,
    dev: Dataset,
    *,
    table: Tensor | None = None,
    ngram_logits: Floats | None = None,
    checkpoint: Checkpoint | None = None,
    logdir: Path | None = None,
    deadline: float = math.inf,
    title: str = "",
) -> Network:
    """Train from the seed, or from where `checkpoint` stands; returns the best epoch's network.

    `table` (V, D) is what the embedding begins as; the others are those of `run_training`. Equal arguments
    give equal tensors on one machine with the same number of threads, stopped and resumed or not.
    """
    with deterministic(config.seed):
        network = Network(sizes)
        if checkpoint and checkpoint.started:
            pass  # `run_training` puts back what was saved
        elif table is not None:
            network.embedding.load_state_dict({"weight": table})
        optimizer = _optimizer(network, config)
        run_training(
            network, optimizer, config, data, dev, ngram_logits=ngram_logits,
            checkpoint=checkpoint, logdir=logdir, deadline=deadline, title=title,
        )  # fmt: skip
        return network


def run_training(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    config: TrainConfig,
    data: Dataset,
    dev: Dataset,
    *,
    ngram_logits: Floats | None = None,
    checkpoint: Checkpoint | None = None,
    logdir: Path | None = None,
    deadline: float = math.inf,
    title: str = "",
) -> TrainingState:
    """Go through the data until the epochs are done or dev gets no better; keep the best weights.

    Args:
        network: token ids (B, T) in, something with `predict_logits` (B, C) out.
        optimizer: each group has a `rate`, its learning rate as a multiple of the schedule's.
        config: the schedule.
        data: what to learn.
        dev: what decides which epoch is the best.
        beside: what the linear half says of dev, (N, C): then the best is that of their mixture.
        checkpoint: where to go on from, and to save to.
        logdir: for TensorBoard's curves.
        deadline: when to give up, in seconds of `time.monotonic`.
        title: of the progress.

    Raises:
        OutOfTime: the deadline passed.
    """
    state = checkpoint.restore(network, optimizer) if checkpoint else TrainingState()
    updates = math.ceil(len(data) / config.batch)  # of one epoch
    weights = None
    if data.targets is None:  # else the teacher weighed the classes
        weights = class_weights(np.bincount(data.labels).tolist(), config.class_weight_ratio)
    left_out = None
    if config.token_dropout or config.rare_dropout:
        frequencies = np.bincount(data.ids)
        left_out = token_dropout_probabilities(
            frequencies, config.token_dropout, config.rare_dropout
        )
    done = state.epoch * updates + state.batch
    with (
        TrainingProgress(config.epochs, config.epochs * updates, done, title) as progress,
        curves(logdir, done) as draw,
    ):
        while state.epoch < config.epochs and state.epoch - state.best_epoch < config.patience:
            network.train()
            batches = data.epoch(config.batch, np.random.default_rng((config.seed, state.epoch)))
            for positions in batches[state.batch :]:
                step = state.epoch * updates + state.batch
                for group in optimizer.param_groups:
                    rate = learning_rate(step, config.epochs * updates, config)
                    group["lr"] = rate * group["rate"]
                state.loss += _update(
                    network, optimizer, data, positions, step, config, weights, left_out
                )
                state.batch += 1
                progress.update(state.epoch + 1, state.loss / state.batch)
                if checkpoint and checkpoint.due:
                    checkpoint.save(network, optimizer, state)
                if time.monotonic() > deadline:
                    raise DeadlinePassed
            if checkpoint:  # to score a large dev set may take minutes
                checkpoint.save(network, optimizer, state)
            mean_loss = state.loss / state.batch
            accuracy, dev_loss = score_dev(network, dev, ngram_logits)
            better = (accuracy, -dev_loss) > (state.best_score, -state.best_loss)
            state.epoch, state.batch, state.loss = state.epoch + 1, 0, 0.0
            if better:
                state.best_epoch, state.best_score, state.best_loss = (
                    state.epoch,
                    accuracy,
                    dev_loss,
                )
                state.best = {name: t.clone() for name, t in network.state_dict().items()}
            progress.epoch(state.epoch, mean_loss, accuracy, best=better)
            draw(
                state.epoch * updates,
                {"loss/train": mean_loss, "loss/dev": dev_loss, "accuracy/dev": accuracy},
            )
            if checkpoint:
                checkpoint.save(network, optimizer, state)
    network.load_state_dict(state.best)
    network.eval()
    return state


def learning_rate(step: int, steps: int, config: TrainConfig) -> float:
    """Rise in a straight line over the warm-up, then fall in one to 0."""
    rising = math.ceil(config.warmup * steps)
    share = (step + 1) / rising if step < rising else (steps - step) / max(1, steps - rising)
    return config.learning_rate * share


@torch.no_grad()
def predict_logits(network: nn.Module, data: Dataset) -> Tensor:
    """What the network says of every text, shape (N, C)."""
    network.eval()
    batches = list(length_batches(data.lengths.tolist(), DEV_TOKENS))
    found = torch.cat([network(data.batch(positions)[0]).logits for positions in batches])
    return found[torch.tensor(list(chain.from_iterable(batches))).argsort()]


def score_dev(
    network: nn.Module, data: Dataset, ngram_logits: Floats | None = None
) -> tuple[float, float]:
    """Accuracy and mean cross-entropy, of the best mixture with what stands `ngram_logits`."""
    found, truth = predict_logits(network, data), torch.from_numpy(data.labels)
    if ngram_logits is not None:
        ours, theirs = fit_mixture_weights([found.numpy(), ngram_logits], data.labels)
        found = ours * found + theirs * torch.from_numpy(ngram_logits)
    accuracy = (found.argmax(dim=1) == truth).double().mean().item()
    return accuracy, F.cross_entropy(found, truth).item()


def _update(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: Dataset,
    positions: NDArray[np.int64],
    step: int,
    config: TrainConfig,
    weights: list[float] | None,
    left_out: NDArray[np.float64] | None,
) -> float:
    """One step down the gradient; its random numbers follow from the seed and its number alone."""
    random = np.random.default_rng((config.seed, step, 1))
    torch.manual_seed(int(random.integers(2**32)))
    ids, labels = data.batch(positions)
    told = (
        data.token_targets.batch(positions, ids.shape[1])
        if data.token_targets is not None
        else None
    )
    if left_out is not None:
        kept = sample_kept_tokens(ids, left_out, random)
        ids = compact_rows(ids, kept)
        if told is not None:
            told = compact_rows(told[0], kept), compact_rows(told[1], kept)
    found = network(ids)
    loss = F.cross_entropy(
        found.logits,
        data.wanted(positions),
        weight=None if weights is None else torch.tensor(weights),
        label_smoothing=config.label_smoothing,
    )
    if config.attention_guidance:
        loss = loss + config.attention_guidance * attention_loss(found, labels)
    if told is not None:
        loss = loss + config.distillation_weight * distillation_loss(found.token_targets, *told)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(network.parameters(), config.max_gradient_norm)
    optimizer.step()
    return loss.item()


def _optimizer(network: Network, config: TrainConfig) -> torch.optim.Optimizer:
    embeddings = list(network.embedding.parameters())
    rest = [p for name, p in network.named_parameters() if not name.startswith("embedding.")]
    matrices = [p for p in rest if p.dim() > 1]
    vectors = [p for p in rest if p.dim() <= 1]
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay, "rate": 1.0},
        {"params": vectors, "weight_decay": 0.0, "rate": 1.0},
        {"params": embeddings, "weight_decay": 0.0, "rate": config.embedding_rate},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)


@contextlib.contextmanager
def deterministic(seed: int) -> Iterator[None]:
    """Within, PyTorch computes the same each time; its random numbers follow from the seed."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.use_deterministic_algorithms(before)
