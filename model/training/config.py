"""Derive the sizes and the schedule of a training from its data, unless options override them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from heed.model.errors import DataError
from heed.model.nn import NetworkConfig, NetworkSizes

MAX_VOCABULARY = 16_000
MAX_TEXT_TOKENS = 512
LARGE_TRAINING_SET = 50_000
"""From this many texts on, word meanings are learnt from the data alone: pretrained vectors and
synonyms are not used, and gradients also flow into the embeddings through the context path."""
BATCH_SIZES = ((8, 1_000), (16, 4_000), (32, 20_000), (64, 200_000), (128, math.inf))
"""Texts per batch, and the number of training texts up to which it is used."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig(NetworkSizes):
    """The hyperparameters of a training."""

    vocabulary: int
    """Maximum number of tokens that the tokenizer learns."""
    epochs: int
    """Maximum number of passes over the training texts."""
    batch: int
    """Texts per update."""
    patience: int
    """Training stops after this many epochs without a better dev score."""
    seed: int = 0
    """Random seed of the dev split, the initial weights, the batches and the dropout."""
    token_dropout: float = 0.1
    """Share of the tokens of a text that are left out in an update (word dropout)."""
    rare_dropout: float = 3.0
    """Rare tokens are left out more often: half of the time at this frequency."""
    learning_rate: float = 3e-3
    """Peak learning rate, reached after the warm-up. It then falls linearly to 0."""
    embedding_rate: float = 0.3
    """Learning rate of the embedding table, as a multiple of `learning_rate`."""
    attention_guidance: float = 0.03
    """Weight of the loss that moves attention to tokens which support the label."""
    distillation_weight: float = 1.0
    """Weight of the token-level distillation loss."""
    warmup: float = 0.1
    """Share of all updates in which the learning rate rises linearly."""
    weight_decay: float = 0.05
    """Weight decay of matrices. Embeddings, biases and norms have none."""
    label_smoothing: float = 0.05
    """Share of the target probability that is spread over all labels."""
    max_gradient_norm: float = 1.0
    """Gradients with a larger norm are clipped."""
    class_weight_ratio: float = 3.0
    """Classes are weighted if the largest has at least this many times the rows of the smallest."""

    def __post_init__(self) -> None:
        """Check that the sizes fit together."""
        if self.width % self.heads:
            raise DataError(
                f"--width {self.width} is not a multiple of --heads {self.heads}; change one of "
                "them"
            )

    def network(self, vocabulary: int, classes: int, token_targets: int = 0) -> NetworkConfig:
        """Return the sizes of the network.

        Args:
            vocabulary: number of ids of the tokenizer.
            classes: number of labels.
            token_targets: see `NetworkConfig`.
        """
        sizes = {field.name: getattr(self, field.name) for field in fields(NetworkSizes)}
        return NetworkConfig(
            **sizes, vocabulary=vocabulary, classes=classes, token_targets=token_targets
        )


def vocabulary_size(texts: Sequence[str]) -> int:
    """Return the number of tokens to learn: one per 100 characters of training text, up to 16,000.

    The vector of a token that occurs only a few times stays random. But in small data most words
    are rare. There the number is one per 20 characters, between 1,000 and 5,000.
    """
    characters = sum(map(len, texts))
    return min(MAX_VOCABULARY, max(1000, min(5000, characters // 20), characters // 100))


def derive_config(
    lengths: Sequence[int],
    classes: int,
    *,
    pseudo_labelled: int = 0,
    distilled: bool = False,
    overrides: Mapping[str, Any] | None = None,
) -> TrainConfig:
    """Return the configuration for a training set.

    The batch size grows with the data from 8 to 128 texts. The number of epochs gives 4,000 updates
    plus 40 per class, between 3 and 40 epochs. `max_tokens` covers 99 % of the texts, up to 512
    tokens. With a teacher there are twice as many updates, no label smoothing and no word dropout,
    because its soft labels and additional texts already regularise.

    Args:
        lengths: number of tokens of each labelled text.
        classes: number of labels.
        pseudo_labelled: number of additional texts, which only the teacher labels.
        distilled: whether a teacher labels the texts.
        overrides: values of `TrainConfig` fields to use instead; None counts as not given.
    """
    given = {name: value for name, value in (overrides or {}).items() if value is not None}
    texts = len(lengths) + pseudo_labelled
    batch = given.get("batch") or next(size for size, limit in BATCH_SIZES if texts <= limit)
    updates_per_epoch = math.ceil(texts / batch)
    updates = (4000 + 40 * classes) * (2 if distilled else 1)
    epochs = given.get("epochs") or min(40, max(3, math.ceil(updates / updates_per_epoch)))
    covering = math.ceil(np.percentile(np.asarray(lengths), 99) / 16) * 16
    derived = {
        "max_tokens": min(MAX_TEXT_TOKENS, max(32, covering)),
        "epochs": epochs,
        "batch": batch,
        "patience": max(3, epochs // 4),
        "context_gradients": texts >= LARGE_TRAINING_SET,
    }
    if distilled:
        derived |= {"label_smoothing": 0.0, "token_dropout": 0.0, "rare_dropout": 0.0}
    return TrainConfig(**derived | given)


def class_weights(counts: Sequence[int], class_weight_ratio: float) -> list[float] | None:
    """Return the loss weight of each class; None if the classes are balanced.

    w_c = sqrt(mean count / count_c), scaled to a mean of 1 over the rows. The square root is a
    compromise between no weights and weights that give each class the same total.

    Args:
        counts: rows of each class.
        class_weight_ratio: see `TrainConfig`.
    """
    if max(counts) < class_weight_ratio * min(counts):
        return None
    weights = np.asarray(counts, dtype=np.float64) ** -0.5
    scaled: list[float] = (weights * sum(counts) / (weights @ np.asarray(counts))).tolist()
    return scaled
