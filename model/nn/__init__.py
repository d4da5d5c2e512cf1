"""The layers and losses of the attention network, and the n-gram model."""

from heed.model.nn.auxiliary_losses import attention_loss, distillation_loss
from heed.model.nn.layers import MASKED_SCORE, SCORE_BOUND, Block
from heed.model.nn.network import Network, NetworkConfig, NetworkSizes, Output
from heed.model.nn.ngrams import (
    FIRST_FACTOR,
    PREVIOUS_FACTOR,
    TAGS,
    NgramConfig,
    NgramModel,
    bucket_index,
    ngram_key,
)

__all__ = [
    "FIRST_FACTOR",
    "MASKED_SCORE",
    "PREVIOUS_FACTOR",
    "SCORE_BOUND",
    "TAGS",
    "Block",
    "Network",
    "NetworkConfig",
    "NetworkSizes",
    "NgramConfig",
    "NgramModel",
    "Output",
    "attention_loss",
    "bucket_index",
    "distillation_loss",
    "ngram_key",
]
