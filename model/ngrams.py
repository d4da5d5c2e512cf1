"""The linear half of a classifier: what each token and each pair of neighbours says by itself.

A bag of n-grams (Wang and Manning 2012, Joulin et al. 2017). Beside the attention network it is
what "wide" is in wide and deep learning (Cheng et al. 2016): it learns by heart what the other has
to find out, and is as easily told apart by token.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NUMBERS = 2**20
"""Of either table, whatever its shape: a megabyte of a bundle."""


@dataclass(frozen=True)
class NgramSizes:
    """The sizes of the bag."""

    vocabulary: int
    """Of the tokenizer; id 0 is padding."""
    classes: int

    @property
    def tokens(self) -> int:
        """Rows of the table of tokens; where there are more tokens, some have none."""
        return min(self.vocabulary, max(1, NUMBERS // self.classes))

    @property
    def pairs(self) -> int:
        """Rows of the table of pairs, which all pairs share."""
        return max(1, NUMBERS // self.classes)


BEFORE, OWN = 1_000_003, 8_191
"""Primes that a pair's two ids are multiplied by before they are added."""


def pair_rows(before: Any, ids: Any, rows: int) -> Any:
    """Which row of the table stands for a token with the one before it; tensors or arrays.

    Nobody could list all pairs: some share a row. What begins a text has padding, 0, before it.
    """
    return (before * BEFORE + ids * OWN) % rows


@dataclass(frozen=True)
class Scores:
    """What the bag says of a batch: (B, C)."""

    logits: Tensor


class Ngrams(nn.Module):
    """Token ids (B, T) in, `Scores` out. Nothing in it is learnt by descent, see `fit_ngrams`.

    logits = bias + (scale / sqrt(n)) sum_t (tokens[row of id_t] + pairs[row of id_(t-1), id_t])

    with n the tokens of the text: between a sum, by which a long text would be surer of everything,
    and a mean, by which it could be sure of nothing. The tables are in 8 bits.
    """

    rows: Tensor
    tokens: Tensor
    pairs: Tensor
    scale: Tensor
    bias: Tensor

    def __init__(self, sizes: NgramSizes) -> None:
        super().__init__()
        classes = sizes.classes
        self.register_buffer("rows", torch.zeros(sizes.vocabulary, dtype=torch.int32))
        self.register_buffer("tokens", torch.zeros(sizes.tokens, classes, dtype=torch.int8))
        self.register_buffer("pairs", torch.zeros(sizes.pairs, classes, dtype=torch.int8))
        self.register_buffer("scale", torch.zeros(classes))
        self.register_buffer("bias", torch.zeros(classes))

    def say(self, ids: Tensor) -> Tensor:
        """What each token says for each class, (B, T, C); 0 at padding."""
        before = F.pad(ids, (1, 0))[:, :-1]
        of_tokens = F.embedding(F.embedding(ids, self.rows[:, None]).squeeze(2), self.tokens)
        of_pairs = F.embedding(pair_rows(before, ids, len(self.pairs)), self.pairs)
        mask = (ids != 0).float()
        share = (mask * mask.sum(dim=1, keepdim=True) ** -0.5)[:, :, None]  # (B, T, 1)
        return (of_tokens.float() + of_pairs.float()) * (share * self.scale)

    def forward(self, ids: Tensor) -> Scores:
        """Classify token ids (B, T)."""
        return Scores(self.say(ids).sum(dim=1) + self.bias)

    def times(self, factor: float) -> "Ngrams":
        """The same with all it says multiplied."""
        copy = Ngrams(NgramSizes(len(self.rows), len(self.bias)))
        copy.load_state_dict(self.state_dict())
        copy.scale *= factor
        copy.bias *= factor
        return copy
