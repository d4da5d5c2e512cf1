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

PAIR_NUMBERS = 2**19
"""In the table of pairs, whatever its shape: a megabyte of a bundle."""
LARGEST_RANK = 32
"""Numbers of a token or a pair; up to 33 labels need no more."""


@dataclass(frozen=True)
class NgramSizes:
    """The sizes of the bag."""

    vocabulary: int
    """Rows of the table of tokens; id 0 is padding."""
    classes: int

    @property
    def rank(self) -> int:
        """R, what a row holds: one number less than labels, since only differences count."""
        return max(1, min(self.classes - 1, LARGEST_RANK))

    @property
    def pairs(self) -> int:
        """Rows of the table of pairs, a power of two."""
        return 1 << (PAIR_NUMBERS // self.rank).bit_length() - 1


def pair_rows(before: Any, ids: Any, rows: int) -> Any:
    """Which row of the table stands for a token with the one before it; tensors or arrays.

    Pairs share rows: nobody could list them all. What begins a text has padding, 0, before it.
    """
    return (before * 1_000_003 + ids * 8_191) % rows


@dataclass(frozen=True)
class Scores:
    """What the bag says of a batch: (B, C)."""

    logits: Tensor


class Ngrams(nn.Module):
    """Token ids (B, T) in, `Scores` out. Nothing in it is learnt by descent, see `fit_ngrams`.

    logits = head (1 / sqrt(n)) sum_t (tokens[id_t] + pairs[id_(t-1), id_t]) + bias

    with n the tokens of the text: between a sum, by which a long text would be surer of everything,
    and a mean, by which it could be sure of nothing.
    """

    tokens: Tensor
    pairs: Tensor
    weight: Tensor
    bias: Tensor

    def __init__(self, sizes: NgramSizes) -> None:
        super().__init__()
        half = torch.float16
        self.register_buffer("tokens", torch.zeros(sizes.vocabulary, sizes.rank, dtype=half))
        self.register_buffer("pairs", torch.zeros(sizes.pairs, sizes.rank, dtype=half))
        self.register_buffer("weight", torch.zeros(sizes.classes, sizes.rank))
        self.register_buffer("bias", torch.zeros(sizes.classes))

    def hand_on(self, ids: Tensor) -> Tensor:
        """What each token hands on, (B, T, R); 0 at padding. The logits are linear in the sum."""
        before = F.pad(ids, (1, 0))[:, :-1]
        rows = pair_rows(before, ids, len(self.pairs))
        said = F.embedding(ids, self.tokens).float() + F.embedding(rows, self.pairs).float()
        mask = (ids != 0).float()
        return said * (mask * mask.sum(dim=1, keepdim=True) ** -0.5)[:, :, None]

    def forward(self, ids: Tensor) -> Scores:
        """Classify token ids (B, T)."""
        return Scores(F.linear(self.hand_on(ids).sum(dim=1), self.weight, self.bias))
