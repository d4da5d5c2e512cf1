"""The linear half of a classifier: what each token and each few neighbours say by themselves.

A bag of n-grams (Wang and Manning 2012, Joulin et al. 2017). Beside the attention network it is
what "wide" is in wide and deep learning (Cheng et al. 2016): it learns by heart what the other has
to find out, and is as easily told apart by token.
"""

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NUMBERS = 2**20
"""Of each table, whatever its shape: a megabyte of a bundle."""


@dataclass(frozen=True)
class NgramSizes:
    """The sizes of the bag."""

    vocabulary: int
    """Of the tokenizer; id 0 is padding."""
    classes: int
    lengths: tuple[float, float] | None = None
    """Tokens of a short and of a long text, where one score a token is not enough for both."""
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


FIRST, BEFORE, OWN = 7_368_787, 1_000_003, 8_191
"""Primes that the ids of a triple, or of a pair, are multiplied by before they are added."""


def pair_rows(before: Any, ids: Any, rows: int, first: Any = 0) -> Any:
    """Which row of the table stands for a token with the one before it; tensors or arrays.

    With `first`, for a token with the two before it. Nobody could list them all: some share a row.
    What begins a text has padding, 0, before it, so that its triple is its pair.
    """
    return (first * FIRST + before * BEFORE + ids * OWN) % rows


def long_share(count: Tensor, short: Tensor, long: Tensor) -> Tensor:
    """g(n): how much a text of so many tokens is a long one, from 0 to 1."""
    return ((count / short).log() / (long / short).log()).clamp(0, 1)


@dataclass(frozen=True)
class Scores:
    """What the bag says of a batch: (B, C)."""

    logits: Tensor


class Ngrams(nn.Module):
    """Token ids (B, T) in, `Scores` out. Nothing in it is learnt by descent, see `fit_ngrams`.

    logits = bias + (scale / sqrt(n))
             sum_t (tokens[row of id_t] + pairs[row of id_(t-1), id_t]
                    + pairs[row of id_(t-2), id_(t-1), id_t] + g(n) long[row of id_t])

    where the third is only there if `longest` is 3, and with n the tokens of the text: between a
    sum, by which a long text would be surer of everything, and a mean, by which it could be sure of
    nothing. The tables are in 8 bits.

    A word says less in a long text than in a phrase. Where lengths differ much, each token has what
    it says more, or less, in long ones: g rises with log n from 0 for a short text to 1 for a long
    one, `lengths` of the sizes. Shared weights beside those of a domain are due to Daumé (2007);
    length stands for the domain, which nobody tells when a text is sent.
    """

    rows: Tensor
    tokens: Tensor
    pairs: Tensor
    long: Tensor
    lengths: Tensor
    longest: Tensor
    scale: Tensor
    bias: Tensor

    def __init__(self, sizes: NgramSizes) -> None:
        super().__init__()
        self.sizes = sizes
        classes = sizes.classes
        self.register_buffer("rows", torch.zeros(sizes.vocabulary, dtype=torch.int32))
        self.register_buffer("tokens", torch.zeros(sizes.tokens, classes, dtype=torch.int8))
        self.register_buffer("pairs", torch.zeros(sizes.pairs, classes, dtype=torch.int8))
        if sizes.lengths:
            self.register_buffer("long", torch.zeros(sizes.tokens, classes, dtype=torch.int8))
            self.register_buffer("lengths", torch.tensor(sizes.lengths))
        self.register_buffer("longest", torch.tensor(sizes.longest))
        self.register_buffer("scale", torch.zeros(classes))
        self.register_buffer("bias", torch.zeros(classes))

    @classmethod
    def of(cls, tensors: dict[str, Tensor]) -> "Ngrams":
        """The one whose `state_dict` this is."""
        lengths = tensors.get("lengths")
        spread = None if lengths is None else (lengths[0].item(), lengths[1].item())
        longest = tensors.get("longest", torch.tensor(2))  # else of a checkpoint before there was 3
        sizes = NgramSizes(len(tensors["rows"]), len(tensors["bias"]), spread, int(longest))
        ngrams = cls(sizes)
        ngrams.load_state_dict(tensors | {"longest": longest})
        return ngrams

    def say(self, ids: Tensor) -> Tensor:
        """What each token says for each class, (B, T, C); 0 at padding."""
        before = F.pad(ids, (1, 0))[:, :-1]
        rows = F.embedding(ids, self.rows[:, None]).squeeze(2)
        of_pairs = F.embedding(pair_rows(before, ids, len(self.pairs)), self.pairs)
        said = F.embedding(rows, self.tokens).float() + of_pairs.float()
        if self.sizes.longest > 2:
            first = F.pad(before, (1, 0))[:, :-1]
            triples = pair_rows(before, ids, len(self.pairs), first)
            said = said + F.embedding(triples, self.pairs).float()
        mask = (ids != 0).float()
        count = mask.sum(dim=1, keepdim=True)  # (B, 1)
        if self.sizes.lengths:
            gate = long_share(count, *self.lengths)[:, :, None]
            said = said + gate * F.embedding(rows, self.long).float()
        share = (mask * count**-0.5)[:, :, None]  # (B, T, 1)
        return said * (share * self.scale)

    def forward(self, ids: Tensor) -> Scores:
        """Classify token ids (B, T)."""
        return Scores(self.say(ids).sum(dim=1) + self.bias)

    def times(self, factor: float) -> "Ngrams":
        """The same with all it says multiplied."""
        copy = deepcopy(self)
        copy.scale *= factor
        copy.bias *= factor
        return copy
