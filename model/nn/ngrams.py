"""The n-gram model: a linear classifier on the tokens, pairs and triples of a text.

It is a bag of n-grams (Wang and Manning 2012, Joulin et al. 2017). The attention network and the
n-gram model form a wide and deep model (Cheng et al. 2016): the n-gram model memorises, and its
logits are exactly additive over tokens as well.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from math import isqrt
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MAX_TABLE_NUMBERS = 2**20
"""Maximum size of the table of pairs and triples including tags, and of the table of tokens: one
megabyte of a bundle each."""
PREVIOUS_FACTOR, FIRST_FACTOR = 1_000_003, 7_368_787
"""Primes that multiply the ids of the tokens before the last one in an n-gram's key."""
TAGS = 251
"""Number of tags. A prime, so that tag and bucket are independent; a tag fits into a byte."""


@dataclass(frozen=True)
class NgramConfig:
    """The sizes of an n-gram model."""

    vocabulary: int
    """Number of ids of the tokenizer; id 0 is padding."""
    classes: int
    """C, the number of labels."""
    lengths: tuple[float, float] | None = None
    """Numbers of tokens up to which a text is short, and from which it is long, if long texts have
    a table of their own."""
    order: int = 2
    """Tokens of the longest n-gram, 2 or 3."""

    @property
    def tokens(self) -> int:
        """Number of rows for tokens. With a larger vocabulary, rare tokens have no row."""
        return min(self.vocabulary, max(1, MAX_TABLE_NUMBERS // self.classes))

    @property
    def buckets(self) -> int:
        """Number of rows for pairs and triples, each with C numbers and a tag.

        A prime, so that the n-grams of one token spread over all buckets.
        """
        buckets = max(2, MAX_TABLE_NUMBERS // (self.classes + 1))
        while buckets == TAGS or any(buckets % n == 0 for n in range(2, isqrt(buckets) + 1)):
            buckets -= 1
        return buckets

    @property
    def columns(self) -> int:
        """Number of columns: C, or 2 C if long texts have a table of their own."""
        return self.classes if self.lengths is None else 2 * self.classes


def ngram_key(previous: Any, ids: Any, first: Any = 0) -> Any:
    """Return the integer key of a pair, or of a triple if `first` is given; tensors or arrays.

    The key of padding is 0. At the start of a text the missing tokens have id 0, so that the key of
    a triple there equals the key of its pair.
    """
    return (first * FIRST_FACTOR + previous * PREVIOUS_FACTOR + 1) * ids


def bucket_index(key: Any, buckets: int) -> Any:
    """Return the bucket index of an n-gram: a negative row index, counted from the table's end.

    The key 0 gives 0, the row of padding.
    """
    return key % -buckets


@dataclass(frozen=True)
class NgramOutput:
    """The output of the n-gram model for a batch."""

    logits: Tensor  # (B, C)


class NgramModel(nn.Module):
    """Maps token ids (B, T) to an `NgramOutput`. `fit_ngrams` fits it; it needs no gradients.

    logits = bias + (1 / sqrt(n)) sum_t (w[id_t] + w[id_(t-1), id_t] + w[id_(t-2), id_(t-1), id_t])

    n is the number of tokens of the text, and the third term exists only if `order` is 3. Dividing
    by sqrt(n) is a compromise: with a sum, long texts would always get extreme logits; with a mean,
    they never could. The table has 8 bits per number and one scale per column.

    Pairs and triples are hashed into buckets, see `bucket_index`. Each bucket belongs to its most
    informative n-gram, which a tag identifies: its key modulo `TAGS`. Other n-grams of the bucket
    have weight 0, except for about one in 250 with an equal tag.

    If the lengths of the texts differ much, there may be two tables, for short and for long texts.
    Their weights are mixed by 1 - g(n) and g(n); g rises with log n from 0 to 1 between the two
    `lengths`. This is a mixture of experts (Jacobs et al. 1991) with a fixed gate.
    """

    table: Tensor
    """(tokens + buckets, columns) weights in 8 bits. Row 0, of padding, is 0."""
    tags: Tensor
    """(buckets,) tag of the n-gram that owns the bucket."""
    token_rows: Tensor
    """(V,) row of each token; 0, the row of padding, if it has none."""
    lengths: Tensor
    """(2,), see `NgramConfig`; missing if there is one table."""
    order: Tensor
    """See `NgramConfig`."""
    scale: Tensor
    """(columns,) by which the weights are multiplied."""
    bias: Tensor
    """(C,)"""

    def __init__(self, config: NgramConfig) -> None:
        super().__init__()
        self.config = config
        shape = config.tokens + config.buckets, config.columns
        self.register_buffer("table", torch.zeros(shape, dtype=torch.int8))
        self.register_buffer("tags", torch.zeros(config.buckets, dtype=torch.uint8))
        self.register_buffer("token_rows", torch.zeros(config.vocabulary, dtype=torch.int64))
        if config.lengths:
            self.register_buffer("lengths", torch.tensor(config.lengths))
        self.register_buffer("order", torch.tensor(config.order))
        self.register_buffer("scale", torch.zeros(config.columns))
        self.register_buffer("bias", torch.zeros(config.classes))

    @classmethod
    def from_state_dict(cls, tensors: dict[str, Tensor]) -> "NgramModel":
        """Return the n-gram model with this `state_dict`."""
        lengths = tensors.get("lengths")
        config = NgramConfig(
            vocabulary=len(tensors["token_rows"]),
            classes=len(tensors["bias"]),
            lengths=None if lengths is None else (lengths[0].item(), lengths[1].item()),
            order=int(tensors["order"]),
        )
        ngrams = cls(config)
        ngrams.load_state_dict(tensors)
        return ngrams

    @property
    def tables(self) -> int:
        """1, or 2 if long texts have a table of their own."""
        return self.config.columns // self.config.classes

    def gate(self, lengths: Tensor) -> Tensor:
        """Return g(n), 0 to 1, of numbers of tokens. Needs two tables."""
        short, long = self.lengths
        gate: Tensor = (lengths / short).log() / (long / short).log()
        return gate.clamp(0, 1)

    def contributions(self, ids: Tensor) -> Tensor:
        """Return the contribution of each token to each class, (B, T, C); 0 at padding."""
        previous = F.pad(ids, (1, 0))[:, :-1]
        keys = [ngram_key(previous, ids)]
        if self.config.order > 2:
            keys.append(ngram_key(previous, ids, F.pad(previous, (1, 0))[:, :-1]))
        rows = [self.token_rows[ids]]
        for key in keys:
            bucket = bucket_index(key, len(self.tags))
            rows.append(torch.where(self.tags[bucket] == key % TAGS, bucket, 0))
        weights = sum(F.embedding(row % len(self.table), self.table).float() for row in rows)
        weights = weights * self.scale  # (B, T, tables C)
        lengths = (ids != 0).sum(dim=1)[:, None, None]  # (B, 1, 1)
        if self.tables > 1:
            short, long = weights.chunk(2, dim=2)
            weights = short + self.gate(lengths) * (long - short)
        return weights * lengths**-0.5

    def forward(self, ids: Tensor) -> NgramOutput:
        """Classify token ids (B, T)."""
        return NgramOutput(self.contributions(ids).sum(dim=1) + self.bias)

    def scaled(self, factors: Sequence[float]) -> "NgramModel":
        """Return a copy without bias, the weights of each table multiplied by its factor."""
        copy = deepcopy(self)
        copy.scale *= torch.tensor(factors).repeat_interleave(self.config.classes)
        copy.bias.zero_()
        return copy
