"""The attention network: embed, add positions, mix, pool by gated attention, classify linearly.

Only a sum and a linear map follow the pooling. So every logit is exactly a bias plus one signed
number per token: the `contributions` of the answer.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from heed.model.nn.layers import Block, GatedPooling, positional_encoding

MAY_BE_ZERO = {"blocks", "dropout", "context_gradients", "token_targets"}


@dataclass(frozen=True, kw_only=True)
class NetworkSizes:
    """The sizes of a network that do not follow from the tokenizer and the labels."""

    max_tokens: int
    """Maximum number of tokens of a text. Longer texts are cut."""
    width: int = 128
    """D, the size of the token vectors."""
    blocks: int = 1
    """Number of self-attention blocks. With 0, the token embeddings are pooled directly."""
    heads: int = 4
    """Attention heads of a block. They must divide the width."""
    hidden: int = 256
    """Width of the feed-forward layer of a block."""
    context_gradients: bool = False
    """Whether gradients also flow into the embeddings through the context path."""
    dropout: float = 0.2
    """Share of activations that dropout sets to 0 in training."""


@dataclass(frozen=True, kw_only=True)
class NetworkConfig(NetworkSizes):
    """All sizes of a network."""

    vocabulary: int
    """Rows of the embedding table; id 0 is padding."""
    classes: int
    """C, the number of labels."""
    token_targets: int = 0
    """H, the size of a token-level distillation target; 0 if there is no teacher."""

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            minimum = 0 if name in MAY_BE_ZERO else 1
            if value < minimum:
                raise ValueError(f"{name} is {value}; it must be {minimum} or more")
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of {self.heads} heads")


@dataclass(frozen=True)
class Output:
    """The output of the network for a batch."""

    logits: Tensor  # (B, C)
    attention: Tensor  # (B, T)
    contributions: Tensor  # (B, T, C)
    token_targets: Tensor | None = None  # (B, T, H), predicted; only in training with a teacher


class Network(nn.Module):
    """Maps token ids (B, T) to an `Output`. Id 0 is padding; each text has at least one token."""

    position: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding: nn.Module = nn.Embedding(config.vocabulary, config.width, padding_idx=0)
        # Small initial vectors, so that a rare token contributes little.
        nn.init.normal_(self.embedding.weight, std=0.1 * config.width**-0.5)
        self.register_buffer(
            "position", positional_encoding(config.max_tokens, config.width), persistent=False
        )
        self.position_scale = nn.Parameter(torch.tensor(0.3))
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            Block(config.width, config.heads, config.hidden, config.dropout)
            for _ in range(config.blocks)
        )
        self.norm = nn.LayerNorm(config.width)
        self.pooling = GatedPooling(config.width)
        self.head = nn.Linear(config.width, config.classes)
        self.token_target_head = (
            nn.Linear(config.width, config.token_targets) if config.token_targets else None
        )

    def embed(self, ids: Tensor) -> Tensor:
        """Return the vectors (B, T, D) of token ids (B, T)."""
        vectors: Tensor = self.embedding(ids)
        return vectors * math.sqrt(self.config.width)

    def add_positions(self, x: Tensor) -> Tensor:
        """Add the positional encoding to vectors (B, T, D)."""
        return x + self.position_scale * self.position[: x.shape[1]]

    def forward(self, ids: Tensor, vectors: Tensor | None = None) -> Output:
        """Classify token ids (B, T).

        Args:
            ids: the token ids, id 0 at padding.
            vectors: (B, T, D), used in place of `embed(ids)` if given.
        """
        mask = ids != 0  # (B, T)
        x = self.embed(ids) if vectors is None else vectors
        x = self.dropout(x)  # (B, T, D), each token without its context
        detach = self.training and not self.config.context_gradients
        y = self.add_positions(x.detach() if detach else x)
        for block in self.blocks:
            y = block(y, mask)
        context = self.norm(y)
        pooled, attention = self.pooling(x, context, mask)  # (B, T, D), 0 at padding; (B, T)
        # Not summed from the contributions, which training does not need here.
        logits = self.head(pooled.sum(dim=1))
        contributions = pooled @ self.head.weight.T  # (B, T, C)
        token_targets = None
        if self.training and self.token_target_head is not None:
            token_targets = self.token_target_head(context)
        return Output(logits, attention, contributions, token_targets)
