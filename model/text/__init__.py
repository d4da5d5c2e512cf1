"""Tokenize text. Needs no PyTorch."""

from heed.model.text.pretrained_vocab import MAX_PRETRAINED_TOKENS, adapt_tokenizer
from heed.model.text.tokenizer import PADDING, Encoding, Tokenizer, length_batches, pad

__all__ = [
    "MAX_PRETRAINED_TOKENS",
    "PADDING",
    "Encoding",
    "Tokenizer",
    "adapt_tokenizer",
    "length_batches",
    "pad",
]
