"""The linear half of a classifier: what each token and each few neighbours say by themselves.

A bag of n-grams (Wang and Manning 2012, Joulin et al. 2017). Beside the attention network it is
what "wide" is in wide and deep learning (Cheng et al. 2016): it learns by heart what the other has
to find out, and is as easily told apart by token.
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
"""Of a bag's rows of n-grams of several tokens with their tags, a megabyte of a bundle, and at most
as many of its rows of tokens."""
PREVIOUS_FACTOR, FIRST_FACTOR = 1_000_003, 7_368_787
"""Primes that the ids before a token are multiplied by."""
TAGS = 251
"""A prime, so that a tag tells something that the row does not; a tag takes a byte."""


@dataclass(frozen=True)
class NgramConfig:
    """The sizes of one bag, or of two alike."""

    vocabulary: int
    """Of the tokenizer; id 0 is padding."""
    classes: int
    lengths: tuple[float, float] | None = None
    """Up to how many tokens a text is short and from how many on long, where long texts have a bag
    of their own."""
    longest: int = 2
    """Tokens of the longest n-gram, 2 or 3."""

    @property
    def tokens(self) -> int:
        """Rows of tokens; where there are more tokens, some have none."""
        return min(self.vocabulary, max(1, MAX_TABLE_NUMBERS // self.classes))

    @property
    def places(self) -> int:
        """Rows of n-grams of several tokens, each of a number a class and a tag: a prime, so that
        no token's n-grams share few of them.
        """
        places = max(2, MAX_TABLE_NUMBERS // (self.classes + 1))
        while places == TAGS or any(places % n == 0 for n in range(2, isqrt(places) + 1)):
            places -= 1
        return places

    @property
    def columns(self) -> int:
        """Of the table: a score for each class, and for each class in long texts."""
        return self.classes if self.lengths is None else 2 * self.classes


def ngram_key(before: Any, ids: Any, first: Any = 0) -> Any:
    """The number of a token with the one before it; tensors or arrays.

    With `first`, of a token with the two before it. What begins a text has padding, 0, before it,
    so that its triple is its pair. That of padding is 0.
    """
    return (first * FIRST_FACTOR + before * PREVIOUS_FACTOR + 1) * ids


def bucket_index(key: Any, places: int) -> Any:
    """Which of so many rows an n-gram may have, counted from the end of a table: -1, -2, ...

    0 stands for none; it is the row of padding, which is where the key 0 leads.
    """
    return key % -places


@dataclass(frozen=True)
class NgramOutput:
    """What the bag says of a batch: (B, C)."""

    logits: Tensor


class NgramModel(nn.Module):
    """Token ids (B, T) in, `NgramOutput` out. Nothing in it is learnt by descent, see `fit_ngrams`.

    logits = bias + (1 / sqrt(n)) sum_t (said[id_t] + said[id_(t-1), id_t]
                                         + said[id_(t-2), id_(t-1), id_t])

    where the third is only there if `longest` is 3, and with n the tokens of the text: between a
    sum, by which a long text would be surer of everything, and a mean, by which it could be sure of
    nothing. The table is in 8 bits, with a scale for each column.

    Nobody could list all pairs and triples. The row of one is its key modulo the number of rows,
    see `bucket_index`, and belongs to the one that tells most of all that might have it. The others say
    nothing: they are known by their tag, the key modulo `TAGS`, but for one in a hundred or so.

    A word says something else in a long text than in a phrase. Where lengths differ much there may
    be two bags, and what a token says is (1 - g) of the first and g of the second: g(n) rises with
    log n from 0 for a short text to 1 for a long one, `lengths` of the sizes. It is a mixture of
    experts (Jacobs et al. 1991) whose gate is the length, which nobody has to tell.
    """

    table: Tensor
    """Rows of tokens, the first of which, that of padding, says nothing; then rows of n-grams of
    several tokens."""
    tags: Tensor
    """Of who owns such a row."""
    rows: Tensor
    """Of each token; of one that has none, that of padding."""
    lengths: Tensor
    longest: Tensor
    scale: Tensor
    bias: Tensor

    def __init__(self, sizes: NgramConfig) -> None:
        super().__init__()
        self.sizes = sizes
        shape = sizes.tokens + sizes.places, sizes.columns
        self.register_buffer("table", torch.zeros(shape, dtype=torch.int8))
        self.register_buffer("tags", torch.zeros(sizes.places, dtype=torch.uint8))
        self.register_buffer("rows", torch.zeros(sizes.vocabulary, dtype=torch.int64))
        if sizes.lengths:
            self.register_buffer("lengths", torch.tensor(sizes.lengths))
        self.register_buffer("longest", torch.tensor(sizes.longest))
        self.register_buffer("scale", torch.zeros(sizes.columns))
        self.register_buffer("bias", torch.zeros(sizes.classes))

    @classmethod
    def of(cls, tensors: dict[str, Tensor]) -> "NgramModel":
        """The one whose `state_dict` this is."""
        lengths = tensors.get("lengths")
        spread = None if lengths is None else (lengths[0].item(), lengths[1].item())
        sizes = NgramConfig(
            len(tensors["rows"]), len(tensors["bias"]), spread, int(tensors["longest"])
        )
        ngrams = cls(sizes)
        ngrams.load_state_dict(tensors)
        return ngrams

    @property
    def bags(self) -> int:
        """1, or 2 where long texts have their own."""
        return self.sizes.columns // self.sizes.classes

    def gate(self, count: Tensor) -> Tensor:
        """g(n) of texts with so many tokens, from 0 to 1; only where there are two bags."""
        short, long = self.lengths
        risen: Tensor = (count / short).log() / (long / short).log()
        return risen.clamp(0, 1)

    def say(self, ids: Tensor) -> Tensor:
        """What each token says for each class, (B, T, C); 0 at padding."""
        before = F.pad(ids, (1, 0))[:, :-1]
        keys = [ngram_key(before, ids)]
        if self.sizes.longest > 2:
            keys.append(ngram_key(before, ids, F.pad(before, (1, 0))[:, :-1]))
        rows = [self.rows[ids]]
        for key in keys:
            place = bucket_index(key, len(self.tags))
            rows.append(torch.where(self.tags[place] == key % TAGS, place, 0))
        said = sum(F.embedding(row % len(self.table), self.table).float() for row in rows)
        said = said * self.scale  # (B, T, bags C)
        count = (ids != 0).sum(dim=1)[:, None, None]  # (B, 1, 1)
        if self.bags > 1:
            short, long = said.chunk(2, dim=2)
            said = short + self.gate(count) * (long - short)
        return said * count**-0.5

    def forward(self, ids: Tensor) -> NgramOutput:
        """Classify token ids (B, T)."""
        return NgramOutput(self.say(ids).sum(dim=1) + self.bias)

    def times(self, factors: Sequence[float]) -> "NgramModel":
        """The same with what each bag says multiplied, and no bias."""
        copy = deepcopy(self)
        copy.scale *= torch.tensor(factors).repeat_interleave(self.sizes.classes)
        copy.bias.zero_()
        return copy
