"""The network's parts, written like the papers they come from.

Shape letters: B texts, T tokens, D width, H heads, C classes.
Every function takes a mask of real tokens, True where a token stands and False at padding.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MASKED_SCORE = -1e4
"""Score of a padding key: exp(-1e4) is exactly 0 in float32 and -1e4 is finite in float16."""

SCORE_BOUND = 4.0
"""Bound of the pooling's scores: no token is looked at more than e^8 times as much as another."""


def softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Turn scores into weights over the real tokens of the last axis.

    softmax(s)_j = exp(s_j - max_k s_k) / sum_i exp(s_i - max_k s_k)

    Subtracting the largest score changes nothing but keeps exp from overflowing. Weights are
    exactly 0 at padding and sum to 1 as long as one token is real.

    Args:
        scores: (..., T), any finite numbers well above -1e4.
        mask: boolean, broadcastable to `scores`.
    """
    return torch.softmax(scores.masked_fill(~mask, MASKED_SCORE), dim=-1)


def attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Scaled dot-product attention: softmax(Q K^T / sqrt(d_k)) V (Vaswani et al. 2017, eq. 1).

    One softmax for each query, over all keys.

    Args:
        query: (..., Q, d_k).
        key: (..., T, d_k).
        value: (..., T, d_v).
        mask: boolean, broadcastable to (..., Q, T); True where a key may be looked at.

    Returns:
        The mixed values (..., Q, d_v) and the weights (..., Q, T), each row of which sums to 1.
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    weights = softmax(scores, mask)
    return weights @ value, weights


def positional_encoding(length: int, width: int) -> Tensor:
    """Sinusoidal positions (Vaswani et al. 2017, section 3.5), shape (length, width).

    PE(pos, 2i)     = sin(pos / 10000^(2i / width))
    PE(pos, 2i + 1) = cos(pos / 10000^(2i / width))
    """
    position = torch.arange(length, dtype=torch.float64)[:, None]
    frequency = 10000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angle = position * frequency  # (length, width / 2, rounded up)
    encoding = torch.empty(length, width, dtype=torch.float64)
    encoding[:, 0::2] = torch.sin(angle)
    encoding[:, 1::2] = torch.cos(angle[:, : width // 2])
    return encoding.float()


class SelfAttention(nn.Module):
    """Multi-head self-attention: H attentions side by side, joined linearly (section 3.2.2)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        # Three maps, not one of three times the width: served, that one's split takes longer.
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.join = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """x (B, T, D) and mask (B, T) -> (B, T, D)."""
        batch, tokens, width = x.shape
        query, key, value = (
            project(x).view(batch, tokens, self.heads, width // self.heads).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )  # each (B, H, T, D / H)
        mask = mask[:, None, None, :]
        if self.training:
            # The same without the weights of all heads in memory: half the time on long texts.
            mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        else:
            mixed, _ = attention(query, key, value, mask)
        joined: Tensor = self.join(mixed.transpose(1, 2).reshape(batch, tokens, width))
        return joined


class Block(nn.Module):
    """A pre-norm transformer block: x + attention(norm(x)), then x + feed_forward(norm(x)).

    Norm before, not after, trains without special care (Xiong et al. 2020).
    """

    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads)
        self.norm_feed_forward = nn.LayerNorm(width)
        self.feed_forward = nn.Sequential(
            nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        x = x + self.dropout(self.attention(self.norm_attention(x), mask))
        mixed: Tensor = x + self.dropout(self.feed_forward(self.norm_feed_forward(x)))
        return mixed


class GatedPooling(nn.Module):
    """Hand on each token's own meaning, weighed and gated by what stands around it.

    a[t] = softmax_t(r tanh(y_t . q / r)) how much token t is looked at
    g[t] = tanh(G y_t + b)                how it is to be taken: as it is, turned round, not at all
    z[t] = a[t] g[t] * x_t                what it hands on; the pooled vector is their sum

    x is a token by itself, y the same token in its context. Context decides the weights and the
    gates, and nothing else: every number handed on is some token's own, so that what follows
    linearly can be told apart by token. In the terms of Alvarez-Melis and Jaakkola (2018) this is a
    self-explaining network. A constant query makes a key projection redundant, so q stands in the
    space of y. There is no value projection either: x is looked up in a table that is learnt, and
    with a second map that all tokens share small data is learnt by heart. For the same reason tanh
    bounds the scores to r = `SCORE_BOUND`.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, 1, bias=False)
        self.gate = nn.Linear(width, width)
        # Begin as a bag of words: every token looked at alike, and taken as it is.
        nn.init.zeros_(self.query.weight)
        nn.init.zeros_(self.gate.weight)
        nn.init.ones_(self.gate.bias)

    def forward(self, x: Tensor, y: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """x and y (B, T, D) -> what each token hands on (B, T, D) and the weights (B, T)."""
        scores = SCORE_BOUND * torch.tanh(self.query(y).squeeze(2) / SCORE_BOUND)
        weights = softmax(scores, mask)
        return weights[:, :, None] * torch.tanh(self.gate(y)) * x, weights
