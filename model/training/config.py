"""Sizes and schedule that follow from the data, where the person names none."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from heed.model.errors import DataError
from heed.model.nn.network import NetworkConfig

MAX_VOCABULARY = 16_000
MAX_TEXT_TOKENS = 512
LARGE_TRAINING_SET = 50_000
"""Texts, from which on what stands beside a token may teach its vector, too, and from which on they
teach what English words mean better than is known beforehand; none is put in other words then."""


@dataclass(frozen=True)
class TrainConfig:
    """Everything that, beside the data, decides what training makes."""

    vocabulary: int
    """Most tokens that the tokenizer may learn."""
    max_tokens: int
    """Tokens read of a text; what follows is cut."""
    epochs: int
    """Passes over the training text, unless dev stops them early."""
    batch: int
    """Texts of one update."""
    patience: int
    """Epochs without a better dev score before training stops."""
    seed: int = 0
    """Decides the split, the first weights, the order of texts and every dropout."""
    width: int = 128
    """Size of a token's vector."""
    blocks: int = 1
    """Self-attention blocks; 0 pools the embeddings themselves."""
    heads: int = 4
    """Heads of a block's self-attention."""
    hidden: int = 256
    """Width of a block's feed-forward layer."""
    context_gradients: bool = False
    """Whether a token's vector is learnt from how other tokens are taken beside it, too."""
    dropout: float = 0.2
    """Share of activations set to 0 in an update."""
    token_dropout: float = 0.1
    """Share of a text's tokens left out in an update, so that no word alone is relied on."""
    rare_dropout: float = 3.0
    """A token is left out more often the rarer it is: half of the time if seen that often."""
    learning_rate: float = 3e-3
    """The highest, reached after the warm-up; from there it falls to 0 in a straight line."""
    embedding_rate: float = 0.3
    """Learning rate of the embedding table, as a multiple of the others'."""
    attention_guidance: float = 0.03
    """Weight of the loss that draws attention to the tokens that speak for the right label."""
    distillation_weight: float = 1.0
    """Weight of the loss that draws a token in its context to what a teacher makes of it."""
    warmup: float = 0.1
    """Share of all updates over which the learning rate rises."""
    weight_decay: float = 0.05
    """Of matrices; embeddings, biases and norms have none."""
    label_smoothing: float = 0.05
    """Share of the target that is spread over all labels."""
    max_gradient_norm: float = 1.0
    """Norm at which a gradient is cut."""
    class_weight_ratio: float = 3.0
    """From this ratio of the largest to the smallest class, rare classes weigh more."""

    def __post_init__(self) -> None:
        """Refuse sizes that do not fit together."""
        if self.width % self.heads:
            raise DataError(
                f"--width {self.width} is not a multiple of --heads {self.heads}; make it one"
            )

    def network(self, vocabulary: int, classes: int, token_targets: int = 0) -> NetworkConfig:
        """The network for a tokenizer that learned `vocabulary` tokens, see `NetworkConfig`."""
        shared = {f.name for f in fields(self)} & {f.name for f in fields(NetworkConfig)}
        sizes = {name: getattr(self, name) for name in shared}
        sizes |= {"vocabulary": vocabulary, "classes": classes, "token_targets": token_targets}
        return NetworkConfig(**sizes)


def vocabulary_size(texts: Sequence[str]) -> int:
    """One token for each hundred characters of training text, up to 16,000.

    A token that the text shows only a few times has a vector that nobody taught. Of little text,
    though, most words are seen a few times only: there it is one for twenty characters, from 1,000
    to 5,000.
    """
    characters = sum(map(len, texts))
    return min(MAX_VOCABULARY, max(1000, min(5000, characters // 20), characters // 100))


def dev_fraction(rows: int) -> float:
    """Share to set aside: a tenth, or 200 rows but at most a fifth; never over 10,000 rows."""
    return min(max(0.1, min(0.2, 200 / rows)), 10_000 / rows)


def derive_config(
    lengths: Sequence[int], classes: int, *, more: int = 0, taught: bool = False, **chosen: Any
) -> TrainConfig:
    """The configuration for a training set.

    A batch grows with the data, 8 to 128 texts. Epochs are as many as give 4,000 updates and 40
    more a class, from 3 to 40. A teacher's text takes twice as many, its labels need no smoothing,
    and no words are left out, as there is text enough. Of 100 texts 99 are read whole, up to 512
    tokens. Up to 50,000 rows a token's vector is learnt from what it hands on alone.

    Args:
        lengths: tokens of each labelled text.
        classes: how many labels there are.
        more: texts beside these, which only a teacher labels.
        taught: whether a teacher labels the texts.
        chosen: fields of `TrainConfig` that the person named; None is no choice.
    """
    chosen = {name: value for name, value in chosen.items() if value is not None}
    rows = len(lengths) + more
    batch = chosen.get("batch") or next(size for size, most in _BATCHES if rows <= most)
    updates = math.ceil(rows / batch)
    wanted = (4000 + 40 * classes) * (2 if taught else 1)
    epochs = chosen.get("epochs") or min(40, max(3, math.ceil(wanted / updates)))
    longest = math.ceil(np.percentile(np.asarray(lengths), 99) / 16) * 16
    settled = {
        "max_tokens": min(MAX_TEXT_TOKENS, max(32, longest)),
        "epochs": epochs,
        "batch": batch,
        "patience": max(3, epochs // 4),
        "context_gradients": rows >= LARGE_TRAINING_SET,
    }
    if taught:
        settled |= {"label_smoothing": 0.0, "token_dropout": 0.0, "rare_dropout": 0.0}
    return TrainConfig(**settled | chosen)


_BATCHES = ((8, 1_000), (16, 4_000), (32, 20_000), (64, 200_000), (128, math.inf))
"""Texts a batch, up to so many rows."""


def class_weights(counts: Sequence[int], class_weight_ratio: float) -> list[float] | None:
    """What a row of each class weighs in the loss; None where the classes are balanced.

    w_c = sqrt(mean count / count_c), scaled so that the mean over rows is 1. The square root is the
    middle between no weights and equal classes: rare labels are learnt, frequent ones not drowned.
    """
    if max(counts) < class_weight_ratio * min(counts):
        return None
    weights = np.asarray(counts, dtype=np.float64) ** -0.5
    scaled: list[float] = (weights * sum(counts) / (weights @ np.asarray(counts))).tolist()
    return scaled
