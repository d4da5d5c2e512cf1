"""Search for a better configuration on dev within a time limit: `heed train --tune MINUTES`.

A random walk: change one or two fields of the best configuration so far by one step, train, and
keep the change if the dev loss is lower. The dev loss is the cross-entropy of network and n-gram
model together at the best temperature. On few rows it separates configurations better than the
accuracy does.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from heed.model.inference import softmax
from heed.model.metrics import Floats, fit_mixture_weights, fit_temperature
from heed.model.nn import Network, NetworkConfig
from heed.model.training.config import TrainConfig
from heed.model.training.dataset import Dataset
from heed.model.training.trainer import DeadlinePassed, predict_logits, train_network

SEARCH_VALUES: Mapping[str, tuple[float, ...]] = {
    "learning_rate": (2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3),
    "embedding_rate": (0.1, 0.3, 1.0, 3.0),
    "dropout": (0.0, 0.1, 0.2, 0.3, 0.4, 0.5),
    "token_dropout": (0.0, 0.1, 0.2, 0.3),
    "label_smoothing": (0.0, 0.05, 0.1, 0.2),
    "weight_decay": (0.01, 0.05, 0.2),
    "blocks": (0, 1, 2),
    "hidden": (128, 256, 512),
    "batch": (8, 16, 32, 64, 128),
}
"""The values of each field, ascending."""
MAX_PROPOSALS = 100
"""The search ends after this many proposals that were all tried before."""


@dataclass(frozen=True)
class Trial:
    """A configuration and its score on dev."""

    changed: dict[str, Any]
    """Values of the `TrainConfig` fields that differ from the values derived from the data."""
    cross_entropy: float
    """Dev cross-entropy in nats per row, at the best temperature."""
    accuracy: float
    """Dev accuracy."""


def search_config(
    planned: TrainConfig,
    network: NetworkConfig,
    data: Dataset,
    dev: Dataset,
    *,
    initial_embeddings: Tensor | None,
    ngram_logits: Floats | None,
    fixed: frozenset[str],
    minutes: float,
    on_trial: Callable[[Trial], None],
) -> Trial:
    """Return the best of the trials that finish within the time limit.

    The first trial is the derived configuration; it always finishes. The seed determines the
    order of the trials, and the machine how many there are.

    Args:
        planned: the derived configuration.
        network: its network.
        data: training set.
        dev: rows that each trial is scored on.
        initial_embeddings: (V, D), see `train_network`.
        ngram_logits: (N, C) logits of the n-gram model for dev, if there is one.
        fixed: fields that keep their value.
        minutes: time limit of the whole search.
        on_trial: callback for each finished trial.
    """
    deadline = time.monotonic() + 60 * minutes
    random = np.random.default_rng((planned.seed, 3))
    fields = [name for name in SEARCH_VALUES if name not in fixed]
    best, seen = None, set[tuple[tuple[str, Any], ...]]()
    changed: dict[str, Any] | None = {}
    while changed is not None and (best is None or time.monotonic() < deadline):
        seen.add(tuple(sorted(changed.items())))
        config = replace(planned, **changed)
        try:
            trained = train_network(
                config.network(network.vocabulary, network.classes, network.token_targets),
                config, data, dev,
                initial_embeddings=initial_embeddings, ngram_logits=ngram_logits,
                deadline=deadline if best else math.inf, title=f"trial {len(seen)}",
            )  # fmt: skip
        except DeadlinePassed:
            break
        trial = _score(trained, dev, ngram_logits, changed)
        on_trial(trial)
        if best is None or trial.cross_entropy < best.cross_entropy:
            best = trial
        changed = _propose(planned, best.changed, fields, seen, random)
    assert best is not None
    return best


def _score(
    network: Network, dev: Dataset, ngram_logits: Floats | None, changed: dict[str, Any]
) -> Trial:
    logits = predict_logits(network, dev).numpy().astype(np.float64)
    if ngram_logits is not None:
        network_weight, ngram_weight = fit_mixture_weights([logits, ngram_logits], dev.labels)
        logits = network_weight * logits + ngram_weight * ngram_logits
    probabilities = softmax(logits / fit_temperature(logits, dev.labels))
    of_label = probabilities[np.arange(len(dev)), dev.labels]
    return Trial(
        changed,
        float(-np.log(of_label.clip(min=1e-12)).mean()),
        float((logits.argmax(axis=1) == dev.labels).mean()),
    )


def _propose(
    planned: TrainConfig,
    best: dict[str, Any],
    fields: list[str],
    seen: set[tuple[tuple[str, Any], ...]],
    random: np.random.Generator,
) -> dict[str, Any] | None:
    """Return an untried neighbour of the best configuration; None if none is found."""
    for _ in range(MAX_PROPOSALS):
        changed = dict(best)
        count = min(len(fields), int(random.integers(1, 3)))
        for name in random.choice(fields, size=count, replace=False).tolist():
            value = changed.get(name, getattr(planned, name))
            changed[name] = neighbour(SEARCH_VALUES[name], value, int(random.choice((-1, 1))))
        changed = {k: v for k, v in changed.items() if v != getattr(planned, k)}
        if tuple(sorted(changed.items())) not in seen:
            return changed
    return None


def neighbour(values: tuple[float, ...], value: float, direction: int) -> float:
    """Return the next larger (1) or smaller (-1) of the values; the value itself at the end."""
    if direction > 0:
        return min((other for other in values if other > value), default=value)
    return max((other for other in values if other < value), default=value)
