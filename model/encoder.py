"""Knowledge from a pretrained sentence encoder: its tokenizer and a static vector for each token.

Needs `transformers`, from the extra `encoder`. Nothing of the encoder is needed to serve.
"""

import json
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from model.errors import DataError, HeedError
from model.tokenizer import Tokenizer

BATCH = 1024


@dataclass(frozen=True)
class StaticVectors:
    """A tokenizer and what its tokens mean by themselves."""

    tokenizer: Tokenizer
    table: Tensor
    """(V, width), of mean length 1; the row of id 0 is 0."""


def static_vectors(source: str, width: int) -> StaticVectors:
    """Read an encoder and reduce it to one vector a token (Tulkens and van Dongen 2024, Model2Vec).

    Each token goes through the encoder alone, between its special tokens; the mean of what comes
    out is the token's vector, and their principal components are kept. Frequent directions, which
    say little, are damped: a component is divided by the square root of its deviation.

    Args:
        source: a folder, or the name of a model on the hub.
        width: of the vectors; at most that of the encoder.

    Raises:
        HeedError: `transformers` is missing.
        DataError: `source` cannot be read, or is narrower than `width`.
    """
    model, tokenizer, wrap = _load(source)
    vocabulary = tokenizer.vocabulary
    rows = []
    with torch.no_grad():
        for start in range(0, vocabulary, BATCH):
            ids = torch.arange(start, min(start + BATCH, vocabulary))
            before, after = (torch.tensor(part).expand(len(ids), -1) for part in wrap)
            text = torch.cat([before, ids[:, None], after], dim=1).long()
            mask = torch.ones_like(text)
            rows.append(model(input_ids=text, attention_mask=mask).last_hidden_state.mean(dim=1))
    vectors = torch.cat(rows)
    if vectors.shape[1] < width:
        raise DataError(
            f"--init-embeddings {source}: its vectors have {vectors.shape[1]} numbers, fewer than "
            f"--width {width}; choose a smaller width"
        )
    vectors = vectors - vectors.mean(dim=0)
    deviations, directions = torch.linalg.eigh(vectors.double().T @ vectors.double())
    top = directions[:, -width:].flip(1)
    reduced = vectors.double() @ top / deviations[-width:].flip(0).clamp(min=1e-12) ** 0.25
    table = (reduced / reduced.norm(dim=1).mean()).float()
    table[0] = 0
    return StaticVectors(tokenizer, table)


def _load(source: str) -> tuple[Any, Tokenizer, tuple[list[int], list[int]]]:
    """The encoder, its tokenizer, and the special ids that stand before and behind a text."""
    if find_spec("transformers") is None:
        raise HeedError(
            "transformers is not installed; `pip install 'heed-classifier[train,encoder]'` brings "
            "what a pretrained encoder needs"
        )
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        fast = AutoTokenizer.from_pretrained(source)
        model = AutoModel.from_pretrained(source).eval()
        document = json.loads(fast.backend_tokenizer.to_str())
    except (OSError, ValueError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"--init-embeddings {source}: not an encoder that transformers can read: {reason}"
        ) from error
    probe = fast.convert_tokens_to_ids(fast.tokenize("a"))
    whole = fast("a")["input_ids"]
    place = whole.index(probe[0])
    return model, Tokenizer.from_json(json.dumps(document)), (whole[:place], whole[place + 1 :])
