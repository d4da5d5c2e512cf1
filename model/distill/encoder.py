"""Read a pretrained sentence encoder, and reduce it to one vector per token.

Needs `transformers`, from the extra `encoder`. Serving does not need the encoder.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from heed.model.distill.static_vectors import StaticVectors
from heed.model.errors import DataError, HeedError, to_install
from heed.model.text import MAX_PRETRAINED_TOKENS, adapt_tokenizer

TOKENS_PER_BATCH = 1024
"""Tokens that go through the encoder in one batch, each as a text of its own."""
ENCODER_FILES = ["*.json", "*.txt", "*.model", "model*.safetensors"]
"""Files to download from the hub. Pickles are not among them, because they may run code."""


@dataclass(frozen=True)
class Encoder:
    """A pretrained sentence encoder with its tokenizer, both of `transformers`."""

    network: Any
    """Maps `input_ids` and `attention_mask` to an output with `last_hidden_state` (B, T, width)."""
    tokenizer: Any

    @property
    def width(self) -> int:
        """Size of the hidden states."""
        return int(self.network.config.hidden_size)


def read_encoder(source: str, option: str) -> Encoder:
    """Return the encoder of a folder, or of a name on the hub.

    Args:
        source: a folder with `config.json`, `model.safetensors` and a tokenizer, or a name.
        option: the option that named it, for error messages.

    Raises:
        HeedError: `transformers` is not installed.
        DataError: the encoder does not exist or cannot be read.
    """
    if find_spec("transformers") is None:
        raise HeedError(f"transformers is not installed; run {to_install('train,encoder')}")
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity(logging.CRITICAL)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    folder = _folder(source, option)
    safe = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=True, **safe)
        network = AutoModel.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, **safe
        ).eval()
        if getattr(network, "pooler", None) is not None:
            network.pooler = None  # unused here, and untrained in some encoders
        with torch.no_grad():
            ids = torch.tensor([tokenizer("a")["input_ids"]])
            state = network(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        if state.shape != (*ids.shape, network.config.hidden_size):
            raise ValueError("it has no hidden state per token")
        tokenizer.backend_tokenizer.to_str()
    except Exception as error:  # transformers passes on any exception of its parts
        raise DataError(
            f"{option} {source}: not an encoder that transformers can read ({_first_line(error)}); "
            "name another one"
        ) from error
    return Encoder(network, tokenizer)


def extract_static_vectors(
    encoder: Encoder, width: int, texts: Sequence[str], max_tokens: int | None = None
) -> StaticVectors:
    """Reduce an encoder to one vector per token (Model2Vec, Tulkens and van Dongen 2024).

    The encoder reads each token alone, between the special tokens. The hidden states of this short
    text are averaged. The first `width` principal components of the averages are kept. Each one is
    divided by the square root of its standard deviation, which damps frequent directions with
    little information.

    Args:
        encoder: the encoder.
        width: size of the vectors, at most that of the encoder.
        texts: the training texts. They decide which tokens of a large vocabulary are kept.
        max_tokens: maximum number of tokens; None: `MAX_PRETRAINED_TOKENS`.

    Raises:
        DataError: the encoder is narrower than `width`.
    """
    if encoder.width < width:
        raise DataError(
            f"--init-embeddings: the encoder's vectors have {encoder.width} numbers, fewer than "
            f"--width {width}; choose a smaller width"
        )
    document = encoder.tokenizer.backend_tokenizer.to_str()
    special = encoder.tokenizer.all_special_ids
    tokenizer, encoder_ids = adapt_tokenizer(
        document, special, texts, max_tokens or MAX_PRETRAINED_TOKENS
    )
    vectors = _encode_tokens(encoder, torch.tensor(encoder_ids[1:])).double()
    vectors -= vectors.mean(dim=0)
    deviations, directions = torch.linalg.eigh(vectors.T @ vectors)
    components = directions[:, -width:].flip(1)
    reduced = vectors @ components / deviations[-width:].flip(0).clamp(min=1e-12) ** 0.25
    scaled = torch.zeros(len(encoder_ids), width)
    scaled[1:] = reduced / reduced.norm(dim=1).mean()
    return StaticVectors(tokenizer, scaled)


@torch.no_grad()
def _encode_tokens(encoder: Encoder, ids: Tensor) -> Tensor:
    """Return the mean hidden state (N, width) of each token of ids (N,) as a text of its own."""
    before, after = _special_tokens(encoder.tokenizer)
    rows = []
    for part in torch.split(ids, TOKENS_PER_BATCH):
        count = len(part)
        texts = torch.cat([before.expand(count, -1), part[:, None], after.expand(count, -1)], dim=1)
        output = encoder.network(input_ids=texts, attention_mask=torch.ones_like(texts))
        rows.append(output.last_hidden_state.mean(1))
    return torch.cat(rows)


def _special_tokens(tokenizer: Any) -> tuple[Tensor, Tensor]:
    """Return the ids of the special tokens before and after a text."""
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a")["input_ids"]
    start = next(p for p in range(len(whole)) if whole[p : p + len(bare)] == bare)
    return (
        torch.tensor(whole[:start], dtype=torch.int64),
        torch.tensor(whole[start + len(bare) :], dtype=torch.int64),
    )


def _folder(source: str, option: str) -> str:
    """Return the folder of the encoder's files. A name on the hub is downloaded."""
    if Path(source).is_dir():
        return source
    from huggingface_hub import snapshot_download

    try:
        return snapshot_download(source, allow_patterns=ENCODER_FILES)
    except Exception as error:  # connection, hub or name
        raise DataError(
            f"{option} {source}: no such folder, and the hub cannot provide it: "
            f"{_first_line(error)}; name a folder with config.json, model.safetensors and "
            "tokenizer.json"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".:")
