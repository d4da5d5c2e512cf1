"""The layers of the network, written as in the papers that define them.

Shape letters: B texts, T tokens, D width, H heads, C classes.
A mask is True at the tokens of a text and False at padding.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MASKED_SCORE = -1e4
"""Score of a padding key: exp(-1e4) is exactly 0 in float32 and -1e4 is finite in float16."""

SCORE_BOUND = 4.0
"""Bound of the pooling scores: no attention weight is more than e^8 times another one."""


def softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Return softmax weights over the tokens of the last axis, 0 at padding.

    softmax(s)_j = exp(s_j - max_k s_k) / sum_i exp(s_i - max_k s_k)

    Subtracting the largest score prevents overflow and does not change the result. Weights are
    exactly 0 at padding. They sum to 1 if at least one position is not padding.

    Args:
        scores: (..., T), finite and well above -1e4.
        mask: boolean, broadcastable to `scores`.
    """
    return torch.softmax(scores.masked_fill(~mask, MASKED_SCORE), dim=-1)


def attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return softmax(Q K^T / sqrt(d_k)) V and the weights (Vaswani et al. 2017, eq. 1).

    Args:
        query: (..., Q, d_k).
        key: (..., T, d_k).
        value: (..., T, d_v).
        mask: boolean, broadcastable to (..., Q, T); True where a key takes part.

    Returns:
        The weighted sums of the values (..., Q, d_v), and the weights (..., Q, T); each row of
        weights sums to 1.
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    weights = softmax(scores, mask)
    return weights @ value, weights


def positional_encoding(length: int, width: int) -> Tensor:
    """Return sinusoidal positions, shape (length, width) (Vaswani et al. 2017, section 3.5).

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
    """Multi-head self-attention (Vaswani et al. 2017, section 3.2.2)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        # Three layers: splitting the output of one wide layer takes longer in ONNX Runtime.
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.join = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Return the attended vectors (B, T, D) of x (B, T, D) with mask (B, T)."""
        batch, tokens, width = x.shape
        query, key, value = (
            project(x).view(batch, tokens, self.heads, width // self.heads).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )  # each (B, H, T, D / H)
        mask = mask[:, None, None, :]
        if self.training:
            # Equal result without storing the weights: half the time on long texts.
            mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        else:
            mixed, _ = attention(query, key, value, mask)
        joined: Tensor = self.join(mixed.transpose(1, 2).reshape(batch, tokens, width))
        return joined


class Block(nn.Module):
    """A pre-norm transformer block: x + attention(norm(x)), then x + feed_forward(norm(x)).

    With the norm first, training is stable without a special schedule (Xiong et al. 2020).
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
        """Return the vectors in their context (B, T, D) of x (B, T, D) with mask (B, T)."""
        x = x + self.dropout(self.attention(self.norm_attention(x), mask))
        mixed: Tensor = x + self.dropout(self.feed_forward(self.norm_feed_forward(x)))
        return mixed


class GatedPooling(nn.Module):
    """Weigh and gate the vector of each token by its context.

    a[t] = softmax_t(r tanh(y_t . q / r)) attention weight of token t
    g[t] = tanh(G y_t + b)                gate: keep (1), drop (0) or negate (-1) each dimension
    z[t] = a[t] g[t] * x_t                output of token t; the pooled vector is sum_t z[t]

    x_t is the token's own vector, y_t the vector of the token in its context. The context decides
    only the weights and the gates. So each z[t] is a rescaled x_t, and a linear layer on the sum is
    exactly additive over tokens: a self-explaining network (Alvarez-Melis and Jaakkola 2018).

    The query is constant, so a key projection would be redundant. There is no value projection
    either: x is already a learned embedding, and a second shared matrix overfits small data. For
    the same reason the scores are bounded to r = `SCORE_BOUND`.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, 1, bias=False)
        self.gate = nn.Linear(width, width)
        # Initially a bag of words: all weights are equal and all gates keep the vector.
        nn.init.zeros_(self.query.weight)
        nn.init.zeros_(self.gate.weight)
        nn.init.ones_(self.gate.bias)

    def forward(self, x: Tensor, y: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return z (B, T, D) and the attention weights (B, T) of x and y (B, T, D)."""
        scores = SCORE_BOUND * torch.tanh(self.query(y).squeeze(2) / SCORE_BOUND)
        weights = softmax(scores, mask)
        return weights[:, :, None] * torch.tanh(self.gate(y)) * x, weights
