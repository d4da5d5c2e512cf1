"""Train a network: AdamW, warm-up, batches of similar lengths; the best epoch on dev is kept."""

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

from heed.model.metrics import Floats, fit_mixture_weights
from heed.model.nn import Network, NetworkConfig, attention_loss, distillation_loss
from heed.model.text import length_batches
from heed.model.training.checkpoint import Checkpoint, TrainingState
from heed.model.training.config import TrainConfig, class_weights
from heed.model.training.dataset import (
    Dataset,
    compact_rows,
    sample_kept_tokens,
    token_dropout_probabilities,
)
from heed.model.training.progress import TrainingProgress, tensorboard_writer

INFERENCE_TOKENS = 8192
"""Tokens of one batch without gradients."""


class DeadlinePassed(Exception):
    """A training did not finish before its deadline."""


def train_network(
    network_config: NetworkConfig,
    config: TrainConfig,
    data: Dataset,
    dev: Dataset,
    *,
    initial_embeddings: Tensor | None = None,
    ngram_logits: Floats | None = None,
    checkpoint: Checkpoint | None = None,
    logdir: Path | None = None,
    deadline: float = math.inf,
    title: str = "",
) -> Network:
    """Train a network from its seed, or from the checkpoint; return it with its best weights.

    Equal arguments give equal tensors on one machine with the same number of threads, whether the
    training was resumed or not.

    Args:
        network_config: sizes of the network.
        config: hyperparameters.
        data: training set.
        dev: rows that decide which epoch is the best.
        initial_embeddings: (V, D) initial embedding table; None: random.
        ngram_logits: for this and the following arguments see `run_training`.
        checkpoint: where to resume from and save to.
        logdir: folder for TensorBoard.
        deadline: time at which to stop.
        title: shown before each epoch.

    Raises:
        DeadlinePassed: the deadline passed before the end.
    """
    with deterministic(config.seed):
        network = Network(network_config)
        resumed = checkpoint is not None and checkpoint.started
        if initial_embeddings is not None and not resumed:
            network.embedding.load_state_dict({"weight": initial_embeddings})
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
    """Train until all epochs are done or dev does not improve; load the best weights.

    Args:
        network: maps token ids (B, T) to an output with `logits` (B, C).
        optimizer: each parameter group has a `rate`, the multiple of the schedule's learning rate.
        config: hyperparameters.
        data: training set.
        dev: rows that decide which epoch is the best.
        ngram_logits: (N, C) logits of the n-gram model for dev; if given, the best epoch is that of
            the best mixture with them.
        checkpoint: where to resume from and save to.
        logdir: folder for TensorBoard.
        deadline: time at which to stop, in seconds of `time.monotonic`.
        title: shown before each epoch.

    Returns:
        The final progress.

    Raises:
        DeadlinePassed: the deadline passed before the end.
    """
    state = checkpoint.restore(network, optimizer) if checkpoint else TrainingState()
    updates = math.ceil(len(data) / config.batch)  # per epoch
    update = _Update(network, optimizer, config, data, config.epochs * updates)
    done = state.epoch * updates + state.batch
    with (
        TrainingProgress(config.epochs, config.epochs * updates, done, title) as progress,
        tensorboard_writer(logdir, done) as write,
    ):
        while state.epoch < config.epochs and state.epoch - state.best_epoch < config.patience:
            network.train()
            batches = data.epoch(config.batch, np.random.default_rng((config.seed, state.epoch)))
            for positions in batches[state.batch :]:
                state.loss += update(state.epoch * updates + state.batch, positions)
                state.batch += 1
                progress.update(state.epoch + 1, state.loss / state.batch)
                if checkpoint and checkpoint.save_is_due:
                    checkpoint.save(network, optimizer, state)
                if time.monotonic() > deadline:
                    raise DeadlinePassed
            if checkpoint:  # scoring a large dev set may take minutes
                checkpoint.save(network, optimizer, state)
            mean_loss = state.loss / state.batch
            accuracy, dev_loss = score_dev(network, dev, ngram_logits)
            best = (accuracy, -dev_loss) > (state.best_score, -state.best_loss)
            state.epoch, state.batch, state.loss = state.epoch + 1, 0, 0.0
            if best:
                state.best_epoch = state.epoch
                state.best_score, state.best_loss = accuracy, dev_loss
                state.best = {name: t.clone() for name, t in network.state_dict().items()}
            progress.finish_epoch(state.epoch, mean_loss, accuracy, best=best)
            scores = {"loss/train": mean_loss, "loss/dev": dev_loss, "accuracy/dev": accuracy}
            write(state.epoch * updates, scores)
            if checkpoint:
                checkpoint.save(network, optimizer, state)
    network.load_state_dict(state.best)
    network.eval()
    return state


def learning_rate(step: int, steps: int, config: TrainConfig) -> float:
    """Return the learning rate of an update: a linear rise in the warm-up, then a linear fall to 0.

    Args:
        step: number of the update, counted from 0.
        steps: number of all updates.
        config: hyperparameters.
    """
    warmup = math.ceil(config.warmup * steps)
    share = (step + 1) / warmup if step < warmup else (steps - step) / max(1, steps - warmup)
    return config.learning_rate * share


@torch.no_grad()
def predict_logits(network: nn.Module, data: Dataset) -> Tensor:
    """Return the logits of every text, shape (N, C)."""
    network.eval()
    batches = list(length_batches(data.lengths.tolist(), INFERENCE_TOKENS))
    logits = torch.cat([network(data.batch(positions)[0]).logits for positions in batches])
    return logits[torch.tensor(list(chain.from_iterable(batches))).argsort()]


def score_dev(
    network: nn.Module, data: Dataset, ngram_logits: Floats | None = None
) -> tuple[float, float]:
    """Return accuracy and mean cross-entropy on dev.

    With the logits of the n-gram model, they are those of the best mixture of both models.
    """
    logits, labels = predict_logits(network, data), torch.from_numpy(data.labels)
    if ngram_logits is not None:
        network_weight, ngram_weight = fit_mixture_weights(
            [logits.numpy(), ngram_logits], data.labels
        )
        logits = network_weight * logits + ngram_weight * torch.from_numpy(ngram_logits)
    accuracy = (logits.argmax(dim=1) == labels).double().mean().item()
    return accuracy, F.cross_entropy(logits, labels).item()


class _Update:
    """Updates the weights once per call. Random numbers follow from the seed and the step alone."""

    def __init__(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        config: TrainConfig,
        data: Dataset,
        steps: int,
    ) -> None:
        self._network = network
        self._optimizer = optimizer
        self._config = config
        self._data = data
        self._steps = steps
        self._class_weights = None
        if data.soft_labels is None:  # the teacher was trained with the class weights
            counts = np.bincount(data.labels).tolist()
            self._class_weights = class_weights(counts, config.class_weight_ratio)
        self._dropout = None
        if config.token_dropout or config.rare_dropout:
            self._dropout = token_dropout_probabilities(
                np.bincount(data.ids), config.token_dropout, config.rare_dropout
            )

    def __call__(self, step: int, positions: NDArray[np.int64]) -> float:
        """Update the weights by a batch; return its loss.

        Args:
            step: number of the update, counted from 0.
            positions: of the batch in the training set.
        """
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate(step, self._steps, self._config) * group["rate"]
        random = np.random.default_rng((self._config.seed, step, 1))
        torch.manual_seed(int(random.integers(2**32)))
        loss = self._loss(positions, random)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._network.parameters(), self._config.max_gradient_norm)
        self._optimizer.step()
        return loss.item()

    def _loss(self, positions: NDArray[np.int64], random: np.random.Generator) -> Tensor:
        config, data = self._config, self._data
        ids, labels = data.batch(positions)
        token_targets = None
        if data.token_targets is not None:
            token_targets = data.token_targets.batch(positions, ids.shape[1])
        if self._dropout is not None:
            kept = sample_kept_tokens(ids, self._dropout, random)
            ids = compact_rows(ids, kept)
            if token_targets is not None:
                values, mask = token_targets
                token_targets = compact_rows(values, kept), compact_rows(mask, kept)
        output = self._network(ids)
        weights = self._class_weights
        loss = F.cross_entropy(
            output.logits,
            data.targets(positions),
            weight=None if weights is None else torch.tensor(weights),
            label_smoothing=config.label_smoothing,
        )
        if config.attention_guidance:
            loss = loss + config.attention_guidance * attention_loss(output, labels)
        if token_targets is not None:
            distillation = distillation_loss(output.token_targets, *token_targets)
            loss = loss + config.distillation_weight * distillation
        return loss


def _optimizer(network: Network, config: TrainConfig) -> torch.optim.Optimizer:
    embeddings = list(network.embedding.parameters())
    others = [p for name, p in network.named_parameters() if not name.startswith("embedding.")]
    matrices = [p for p in others if p.dim() > 1]
    vectors = [p for p in others if p.dim() <= 1]
    groups = [
        {"params": matrices, "weight_decay": config.weight_decay, "rate": 1.0},
        {"params": vectors, "weight_decay": 0.0, "rate": 1.0},
        {"params": embeddings, "weight_decay": 0.0, "rate": config.embedding_rate},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)


@contextlib.contextmanager
def deterministic(seed: int) -> Iterator[None]:
    """Make PyTorch deterministic within the context, with this random seed."""
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.use_deterministic_algorithms(before)
