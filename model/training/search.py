"""Search near the plan for a better one, on dev, within a time: `heed train --tune MINUTES`.

A walk: change one or two fields of the best plan so far by a step, train it, keep it if dev likes
it better. Dev is asked for the cross-entropy of the network and the linear half together, at the
temperature that suits it best: it tells two plans apart where accuracies of few rows cannot.
"""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from heed.model.inference.classifier import softmax
from heed.model.metrics.calibration import Floats, fit_mixture_weights, fit_temperature
from heed.model.nn.network import Network, NetworkConfig
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
"""The values that a field may take, in order."""


@dataclass(frozen=True)
class Trial:
    """One plan and what dev says of it."""

    changed: dict[str, Any]
    """Fields that differ from the plan's."""
    cross_entropy: float
    """Of dev, in nats a row, at the best temperature."""
    accuracy: float
    """Of dev."""


def search_config(
    planned: TrainConfig,
    sizes: NetworkConfig,
    data: Dataset,
    dev: Dataset,
    *,
    table: Tensor | None,
    ngram_logits: Floats | None,
    fixed: frozenset[str],
    minutes: float,
    told: Callable[[Trial], None],
) -> Trial:
    """Train plan after plan until the time is over; returns the best that came to its end.

    The first is the plan itself, which is trained to its end whatever the time. Which ones follow
    is decided by the seed, and how many by the machine.

    Args:
        planned: where to begin.
        sizes: of the network that is planned.
        data: what to learn.
        dev: what decides.
        table: the embedding table to start from, if there is one.
        beside: what the linear half says of dev, (N, C), if there is one.
        fixed: fields that stay as they are.
        minutes: for the whole search.
        told: told of each trial.
    """
    deadline = time.monotonic() + 60 * minutes
    random = np.random.default_rng((planned.seed, 3))
    fields = [name for name in SEARCH_VALUES if name not in fixed]
    best, seen = None, set[tuple[tuple[str, Any], ...]]()
    changed: dict[str, Any] | None = {}
    while changed is not None and (best is None or time.monotonic() < deadline):
        seen.add(tuple(sorted(changed.items())))
        try:
            config = replace(planned, **changed)
            network = train_network(
                config.network(sizes.vocabulary, sizes.classes, sizes.token_targets), config, data, dev,
                table=table, ngram_logits=ngram_logits, deadline=deadline if best else math.inf,
                title=f"trial {len(seen)}",
            )  # fmt: skip
        except DeadlinePassed:
            break
        trial = _judge(network, dev, ngram_logits, changed)
        told(trial)
        if best is None or trial.cross_entropy < best.cross_entropy:
            best = trial
        changed = _next(planned, best.changed, fields, seen, random)
    assert best is not None
    return best


def _judge(
    network: Network, dev: Dataset, ngram_logits: Floats | None, changed: dict[str, Any]
) -> Trial:
    found = predict_logits(network, dev).numpy().astype(np.float64)
    if ngram_logits is not None:
        ours, theirs = fit_mixture_weights([found, ngram_logits], dev.labels)
        found = ours * found + theirs * ngram_logits
    probabilities = softmax(found / fit_temperature(found, dev.labels))
    of_truth = probabilities[np.arange(len(dev)), dev.labels]
    return Trial(
        changed,
        float(-np.log(of_truth.clip(min=1e-12)).mean()),
        float((found.argmax(axis=1) == dev.labels).mean()),
    )


def _next(
    planned: TrainConfig,
    best: dict[str, Any],
    fields: list[str],
    seen: set[tuple[tuple[str, Any], ...]],
    random: np.random.Generator,
) -> dict[str, Any] | None:
    """A neighbour of the best that was not tried yet; None where none turns up."""
    for _ in range(100):
        changed = dict(best)
        count = min(len(fields), int(random.integers(1, 3)))
        for name in random.choice(fields, size=count, replace=False).tolist():
            here = changed.get(name, getattr(planned, name))
            changed[name] = _step(SEARCH_VALUES[name], here, int(random.choice((-1, 1))))
        changed = {k: v for k, v in changed.items() if v != getattr(planned, k)}
        if tuple(sorted(changed.items())) not in seen:
            return changed
    return None


def _step(values: tuple[float, ...], here: float, direction: int) -> float:
    """The neighbour of a value, in that direction; of a value between two, the nearest there."""
    if direction > 0:
        return min((value for value in values if value > here), default=here)
    return max((value for value in values if value < here), default=here)
