"""A fine-tuned sentence encoder teaches the network (Hinton et al. 2015, Tang et al. 2019).

It learns the labels of the training rows, then says of them, and of more text that nobody labelled,
how probable it finds each label, and what it makes of each token. These soft labels and hints are
what the network learns: they tell which labels are alike and how a word is to be taken, and there
can be as many as there is text. Serving needs nothing of the encoder.
"""

import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from heed.model.distill.augment import MAX_TEACHER_TOKENS
from heed.model.distill.encoder import Encoder
from heed.model.training.checkpoint import Checkpoint
from heed.model.training.config import TrainConfig
from heed.model.training.dataset import Dataset
from heed.model.training.trainer import deterministic, run_training

HEAD_LEARNING_RATE_FACTOR = 20.0
"""Learning rate of the new layer, as a multiple of the pretrained ones'."""
CHUNK = 1024
"""Texts tokenized at once."""


@dataclass(frozen=True)
class TeacherBatch:
    """What the teacher says of a batch."""

    logits: Tensor  # (B, C)
    states: Tensor  # (B, T, E), what it makes of each token


class Teacher(nn.Module):
    """A sentence encoder with a linear layer on the mean of its tokens' vectors.

    Takes the encoder's token ids plus 1, (B, T), so that 0 is padding as in `Network`. Where the
    processor has units for it, the encoder multiplies in bfloat16: more than twice as fast. So
    what it learns depends on the machine a little; a training may go on on another kind.
    """

    def __init__(self, encoder: Encoder, classes: int) -> None:
        super().__init__()
        self.halved = bool(torch.cpu.get_capabilities().get("amx_bf16"))
        self.encoder = encoder.network
        self.dropout = nn.Dropout(0.1)
        self.head = nn.Linear(encoder.width, classes)

    def forward(self, ids: Tensor) -> TeacherBatch:
        """Classify token ids (B, T)."""
        mask = (ids != 0).long()  # (B, T)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.halved):
            encoded = self.encoder(input_ids=(ids - 1).clamp(min=0), attention_mask=mask)
        states = encoded.last_hidden_state.float()
        share = mask / mask.sum(dim=1, keepdim=True)
        mean = (share[:, None] @ states).squeeze(1)  # (B, E)
        return TeacherBatch(self.head(self.dropout(mean)), states)


def fine_tune(
    encoder: Encoder,
    data: Dataset,
    dev: Dataset,
    classes: int,
    seed: int,
    checkpoint: Checkpoint | None,
) -> tuple[Teacher, float]:
    """A teacher that has learnt rows as `tokenize_for_teacher` makes them, and its accuracy on dev.

    Stopped, it goes on from where `checkpoint` stands.
    """
    with deterministic(seed):
        teacher = Teacher(encoder, classes)
        config = fine_tuning_config(len(data), classes, seed)
        optimizer = _optimizer(teacher, config)
        state = run_training(
            teacher, optimizer, config, data, dev, checkpoint=checkpoint, title="teacher"
        )
    return teacher, state.best_score


def fine_tuning_config(rows: int, classes: int, seed: int) -> TrainConfig:
    """The schedule of a fine-tuning.

    Epochs are as many as give 1,000 updates and 10 more a class, from 2 to 20; a third of them
    without a better dev score, but at least two, end it.
    """
    batch = 32 if rows > 4000 else 16
    epochs = min(20, max(2, math.ceil((1000 + 10 * classes) / math.ceil(rows / batch))))
    return TrainConfig(
        vocabulary=0,
        max_tokens=MAX_TEACHER_TOKENS,
        epochs=epochs,
        batch=batch,
        patience=max(2, epochs // 3),
        seed=seed,
        token_dropout=0.0,
        rare_dropout=0.0,
        learning_rate=5e-5,
        attention_guidance=0.0,
        weight_decay=0.01,
        label_smoothing=0.0,
    )


def _optimizer(teacher: Teacher, config: TrainConfig) -> torch.optim.Optimizer:
    pretrained = list(teacher.encoder.parameters())
    groups = [
        {"params": [p for p in pretrained if p.dim() > 1], "rate": 1.0},
        {"params": [p for p in pretrained if p.dim() <= 1], "rate": 1.0, "weight_decay": 0.0},
        {"params": list(teacher.head.parameters()), "rate": HEAD_LEARNING_RATE_FACTOR},
    ]
    return torch.optim.AdamW(
        groups, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )


def max_input_tokens(encoder: Encoder) -> int:
    """Tokens that a teacher reads of a text."""
    return int(min(MAX_TEACHER_TOKENS, encoder.tokenizer.model_max_length))


def tokenize_for_teacher(
    encoder: Encoder, texts: Sequence[str], labels: NDArray[np.int64] | None = None
) -> Dataset:
    """Texts as a teacher takes them."""
    chunks = (texts[start : start + CHUNK] for start in range(0, len(texts), CHUNK))
    return to_dataset(
        chain.from_iterable(encode_texts(encoder, c)["input_ids"] for c in chunks), labels
    )


def encode_texts(encoder: Encoder, texts: Sequence[str], **more: bool) -> Any:
    """Texts as the encoder's tokenizer reads them, `max_input_tokens` of each; `more` asks for more."""
    longest = max_input_tokens(encoder)
    return encoder.tokenizer(list(texts), truncation=True, max_length=longest, **more)


def to_dataset(rows: Iterable[Sequence[int]], labels: NDArray[np.int64] | None = None) -> Dataset:
    """Rows of the encoder's own ids, its special tokens among them, plus 1."""
    ids, starts = array("i"), array("q", [0])
    for row in rows:
        ids.extend(number + 1 for number in row or [0])
        starts.append(len(ids))
    if labels is None:
        labels = np.zeros(len(starts) - 1, dtype=np.int64)
    return Dataset(np.asarray(ids), np.asarray(starts), labels)
