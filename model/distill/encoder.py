"""A pretrained sentence encoder: how one is read, and a vector for each of its tokens.

Needs `transformers`, from the extra `encoder`. Nothing of the encoder is needed to serve.
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
from heed.model.text.pretrained_vocab import MAX_PRETRAINED_TOKENS, adapt_tokenizer

BATCH = 1024
"""Tokens that go through the encoder at once, each alone."""
FILES = ["*.json", "*.txt", "*.model", "model*.safetensors"]
"""What is fetched from the hub: no pickle, as that may hold code."""


@dataclass(frozen=True)
class Encoder:
    """A pretrained sentence encoder with its tokenizer, as `transformers` has them."""

    network: Any
    """Takes `input_ids` and `attention_mask`, gives `last_hidden_state` (B, T, width)."""
    tokenizer: Any

    @property
    def width(self) -> int:
        """Size of the vectors that it gives."""
        return int(self.network.config.hidden_size)


def read_encoder(source: str, option: str) -> Encoder:
    """Read an encoder from a folder, or by its name on the hub.

    Args:
        source: a folder with `config.json`, `model.safetensors` and a tokenizer, or a name.
        option: of the command, to begin an error's sentence with.

    Raises:
        HeedError: `transformers` is missing.
        DataError: there is no such encoder, or it cannot be read.
    """
    if find_spec("transformers") is None:
        raise HeedError(f"transformers is not installed; run {to_install('train,encoder')}")
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity(logging.CRITICAL)
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    folder = _folder(source, option)
    how = {"local_files_only": True, "trust_remote_code": False}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=True, **how)
        network = AutoModel.from_pretrained(
            folder, dtype=torch.float32, use_safetensors=True, **how
        ).eval()
        if getattr(network, "pooler", None) is not None:
            network.pooler = None  # a layer for another task, unused here and untrained in some
        with torch.no_grad():
            ids = torch.tensor([tokenizer("a")["input_ids"]])
            state = network(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
        if state.shape != (*ids.shape, network.config.hidden_size):
            raise ValueError("it gives no vector for each token")
        tokenizer.backend_tokenizer.to_str()
    except Exception as error:  # transformers raises whatever its parts do
        raise DataError(
            f"{option} {source}: not an encoder that transformers can read: {_first_line(error)}"
        ) from error
    return Encoder(network, tokenizer)


def static_vectors(
    encoder: Encoder, width: int, texts: Sequence[str], most: int | None = None
) -> StaticVectors:
    """Reduce an encoder to one vector a token (Tulkens and van Dongen 2024, Model2Vec).

    Each token goes through the encoder alone, between its special tokens; the mean of what comes
    out is the token's vector, and their principal components are kept. Frequent directions, which
    say little, are damped: a component is divided by the square root of its deviation.

    Args:
        encoder: where from.
        width: of the vectors; at most that of the encoder.
        texts: training text, which decides what is kept of a large vocabulary.
        most: tokens to keep; None: `MAX_PRETRAINED_TOKENS`.

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
    tokenizer, old = adapt_tokenizer(document, special, texts, most or MAX_PRETRAINED_TOKENS)
    vectors = _alone(encoder, torch.tensor(old[1:])).double()
    vectors -= vectors.mean(dim=0)
    deviations, directions = torch.linalg.eigh(vectors.T @ vectors)
    top = directions[:, -width:].flip(1)
    reduced = vectors @ top / deviations[-width:].flip(0).clamp(min=1e-12) ** 0.25
    table = torch.zeros(len(old), width)
    table[1:] = reduced / reduced.norm(dim=1).mean()
    return StaticVectors(tokenizer, table)


@torch.no_grad()
def _alone(encoder: Encoder, ids: Tensor) -> Tensor:
    """What the encoder makes of each token by itself: (N,) -> (N, width)."""
    before, after = _wrapping(encoder.tokenizer)
    rows = []
    for part in torch.split(ids, BATCH):
        around = (before.expand(len(part), -1), after.expand(len(part), -1))
        text = torch.cat([around[0], part[:, None], around[1]], dim=1)
        mask = torch.ones_like(text)
        rows.append(encoder.network(input_ids=text, attention_mask=mask).last_hidden_state.mean(1))
    return torch.cat(rows)


def _wrapping(tokenizer: Any) -> tuple[Tensor, Tensor]:
    """The special ids that stand before and behind a text."""
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a")["input_ids"]
    place = next(p for p in range(len(whole)) if whole[p : p + len(bare)] == bare)
    return (
        torch.tensor(whole[:place], dtype=torch.int64),
        torch.tensor(whole[place + len(bare) :], dtype=torch.int64),
    )


def _folder(source: str, option: str) -> str:
    """Where the encoder's files lie, fetched from the hub if need be."""
    if Path(source).is_dir():
        return source
    from huggingface_hub import snapshot_download

    try:
        return snapshot_download(source, allow_patterns=FILES)
    except Exception as error:  # of the network, the hub, the name
        raise DataError(
            f"{option} {source}: no such folder, and the hub does not give it: "
            f"{_first_line(error)}; name a folder with config.json, model.safetensors and "
            "tokenizer.json in it"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".:")
