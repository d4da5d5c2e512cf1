"""The linear half of a classifier: what each token and each few neighbours say by themselves.

A bag of n-grams (Wang and Manning 2012, Joulin et al. 2017). Beside the attention network it is
what "wide" is in wide and deep learning (Cheng et al. 2016): it learns by heart what the other has
to find out, and is as easily told apart by token.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NUMBERS = 2**20
"""Of each table of a bag, whatever its shape: a megabyte of a bundle."""


@dataclass(frozen=True)
class NgramSizes:
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
        """Rows of the table of tokens; where there are more tokens, some have none."""
        return min(self.vocabulary, max(1, NUMBERS // self.classes))

    @property
    def pairs(self) -> int:
        """Rows of the table of pairs, which all pairs share, and all triples."""
        return max(1, NUMBERS // self.classes)

    @property
    def columns(self) -> int:
        """Of every table: a score for each class, and for each class in long texts."""
        return self.classes if self.lengths is None else 2 * self.classes


FIRST, BEFORE, OWN = 7_368_787, 1_000_003, 8_191
"""Primes that the ids of a triple, or of a pair, are multiplied by before they are added."""


def pair_rows(before: Any, ids: Any, rows: int, first: Any = 0) -> Any:
    """Which row of the table stands for a token with the one before it; tensors or arrays.

    With `first`, for a token with the two before it. Nobody could list them all: some share a row.
    What begins a text has padding, 0, before it, so that its triple is its pair.
    """
    return (first * FIRST + before * BEFORE + ids * OWN) % rows


@dataclass(frozen=True)
class Scores:
    """What the bag says of a batch: (B, C)."""

    logits: Tensor


class Ngrams(nn.Module):
    """Token ids (B, T) in, `Scores` out. Nothing in it is learnt by descent, see `fit_ngrams`.

    logits = bias + (1 / sqrt(n)) sum_t (tokens[row of id_t] + pairs[row of id_(t-1), id_t]
                                         + pairs[row of id_(t-2), id_(t-1), id_t])

    where the third is only there if `longest` is 3, and with n the tokens of the text: between a
    sum, by which a long text would be surer of everything, and a mean, by which it could be sure of
    nothing. The tables are in 8 bits, with a scale for each column.

    A word says something else in a long text than in a phrase. Where lengths differ much there may
    be two bags, and what a token says is (1 - g) of the first and g of the second: g(n) rises with
    log n from 0 for a short text to 1 for a long one, `lengths` of the sizes. It is a mixture of
    experts (Jacobs et al. 1991) whose gate is the length, which nobody has to tell.
    """

    rows: Tensor
    tokens: Tensor
    pairs: Tensor
    lengths: Tensor
    longest: Tensor
    scale: Tensor
    bias: Tensor

    def __init__(self, sizes: NgramSizes) -> None:
        super().__init__()
        self.sizes = sizes
        columns = sizes.columns
        self.register_buffer("rows", torch.zeros(sizes.vocabulary, dtype=torch.int32))
        self.register_buffer("tokens", torch.zeros(sizes.tokens, columns, dtype=torch.int8))
        self.register_buffer("pairs", torch.zeros(sizes.pairs, columns, dtype=torch.int8))
        if sizes.lengths:
            self.register_buffer("lengths", torch.tensor(sizes.lengths))
        self.register_buffer("longest", torch.tensor(sizes.longest))
        self.register_buffer("scale", torch.zeros(columns))
        self.register_buffer("bias", torch.zeros(sizes.classes))

    @classmethod
    def of(cls, tensors: dict[str, Tensor]) -> "Ngrams":
        """The one whose `state_dict` this is."""
        lengths = tensors.get("lengths")
        spread = None if lengths is None else (lengths[0].item(), lengths[1].item())
        sizes = NgramSizes(
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
        rows = F.embedding(ids, self.rows[:, None]).squeeze(2)
        of_pairs = F.embedding(pair_rows(before, ids, len(self.pairs)), self.pairs)
        said = F.embedding(rows, self.tokens).float() + of_pairs.float()  # (B, T, bags C)
        if self.sizes.longest > 2:
            first = F.pad(before, (1, 0))[:, :-1]
            triples = pair_rows(before, ids, len(self.pairs), first)
            said = said + F.embedding(triples, self.pairs).float()
        said = said * self.scale
        mask = (ids != 0).float()
        count = mask.sum(dim=1, keepdim=True)  # (B, 1)
        if self.bags > 1:
            short, long = said.chunk(2, dim=2)
            said = short + self.gate(count)[:, :, None] * (long - short)
        return said * (mask * count**-0.5)[:, :, None]

    def forward(self, ids: Tensor) -> Scores:
        """Classify token ids (B, T)."""
        return Scores(self.say(ids).sum(dim=1) + self.bias)

    def times(self, factors: Sequence[float]) -> "Ngrams":
        """The same with what each bag says multiplied, and no bias."""
        copy = deepcopy(self)
        copy.scale *= torch.tensor(factors).repeat_interleave(self.sizes.classes)
        copy.bias.zero_()
        return copy
