"""The classifier: embed, add positions, mix, pool by gated attention, classify linearly.

Between what the tokens hand on and the logits stand only a sum and a linear map, so that every
logit is exactly a bias plus one signed number a token: the `contributions` of the answer.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from heed.model.nn.layers import Block, GatedPooling, positional_encoding


@dataclass(frozen=True)
class NetworkConfig:
    """The sizes of a network."""

    vocabulary: int
    """Rows of the embedding table; id 0 is padding."""
    classes: int
    max_tokens: int
    width: int = 128
    """D, the size of a token's vector."""
    blocks: int = 1
    """N self-attention blocks; 0 pools the embeddings themselves."""
    heads: int = 4
    """Heads of a block's self-attention."""
    hidden: int = 256
    """Width of a block's feed-forward layer."""
    context_gradients: bool = False
    """Whether a token's vector is learnt from how other tokens are taken beside it, too."""
    token_targets: int = 0
    """Numbers that a teacher tells of each token, see `model/hints.py`; 0: there is no teacher."""
    dropout: float = 0.1

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            least = 0 if name in {"blocks", "dropout", "context_gradients", "token_targets"} else 1
            if value < least:
                raise ValueError(f"{name} is {value}; it must be {least} or more")
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not a multiple of {self.heads} heads")


@dataclass(frozen=True)
class Output:
    """What the network says of a batch."""

    logits: Tensor  # (B, C)
    attention: Tensor  # (B, T)
    contributions: Tensor  # (B, T, C)
    token_targets: Tensor | None = (
        None  # (B, T, H), what it takes the teacher's hints to be, in training
    )


class Network(nn.Module):
    """Token ids (B, T) in, `Output` out; id 0 is padding, and each row holds a real token."""

    position: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding: nn.Module = nn.Embedding(config.vocabulary, config.width, padding_idx=0)
        # Small, so that a token of which little is known says little.
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
        self.hint = nn.Linear(config.width, config.token_targets) if config.token_targets else None

    def embed(self, ids: Tensor) -> Tensor:
        """Token ids (B, T) to vectors (B, T, D)."""
        vectors: Tensor = self.embedding(ids)
        return vectors * math.sqrt(self.config.width)

    def locate(self, x: Tensor) -> Tensor:
        """Add their positions to vectors (B, T, D)."""
        return x + self.position_scale * self.position[: x.shape[1]]

    def forward(self, ids: Tensor, vectors: Tensor | None = None) -> Output:
        """Classify token ids (B, T).

        With `vectors` (B, T, D), the tokens mean these and not what `embed` says.
        """
        mask = ids != 0  # (B, T)
        x = self.embed(ids) if vectors is None else vectors
        x = self.dropout(x)  # (B, T, D), each token by itself
        apart = self.training and not self.config.context_gradients
        y = self.locate(x.detach() if apart else x)
        for block in self.blocks:
            y = block(y, mask)
        context = self.norm(y)
        handed, attention = self.pooling(x, context, mask)  # (B, T, D), 0 at padding; (B, T)
        # In training the logits do not wait for the contributions, which nothing asks for there.
        logits = self.head(handed.sum(dim=1))
        contributions = handed @ self.head.weight.T  # (B, T, C)
        token_targets = self.hint(context) if self.hint is not None and self.training else None
        return Output(logits, attention, contributions, token_targets)
