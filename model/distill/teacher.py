"""Fine-tune a sentence encoder as a teacher for the network (Hinton et al. 2015).

The teacher learns the labels of the training rows. Then it labels these rows and additional texts:
its soft labels and hidden states are the network's training targets (Tang et al. 2019). Soft labels
show which labels are similar. Hidden states show how a word is used. The teacher can make targets
for any number of texts. Serving does not need the encoder.
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
from heed.model.training import (
    NO_LABEL,
    Checkpoint,
    Dataset,
    TrainConfig,
    deterministic,
    run_training,
)

HEAD_LEARNING_RATE_FACTOR = 20.0
"""Learning rate of the new layer, as a multiple of the encoder's."""
TEXTS_PER_CHUNK = 1024
"""Texts tokenized at once, to limit memory."""


@dataclass(frozen=True)
class TeacherBatch:
    """The output of the teacher for a batch."""

    logits: Tensor  # (B, C)
    states: Tensor  # (B, T, E), hidden state of each token


class Teacher(nn.Module):
    """A sentence encoder with a linear layer on the mean of its hidden states.

    Its input (B, T) is the encoder's token ids plus 1, so that 0 is padding as in `Network`. On
    processors with AMX units the encoder multiplies in bfloat16, which is more than twice as fast.
    So the result depends slightly on the machine; a training may resume on another kind of machine.
    """

    def __init__(self, encoder: Encoder, classes: int) -> None:
        super().__init__()
        self.use_bfloat16 = bool(torch.cpu.get_capabilities().get("amx_bf16"))
        self.encoder = encoder.network
        self.dropout = nn.Dropout(0.1)
        self.head = nn.Linear(encoder.width, classes)

    def forward(self, ids: Tensor) -> TeacherBatch:
        """Classify token ids (B, T)."""
        mask = (ids != 0).long()  # (B, T)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.use_bfloat16):
            encoded = self.encoder(input_ids=(ids - 1).clamp(min=0), attention_mask=mask)
        states = encoded.last_hidden_state.float()
        weights = mask / mask.sum(dim=1, keepdim=True)
        mean = (weights[:, None] @ states).squeeze(1)  # (B, E)
        return TeacherBatch(self.head(self.dropout(mean)), states)


def fine_tune(
    encoder: Encoder,
    data: Dataset,
    dev: Dataset,
    classes: int,
    seed: int,
    checkpoint: Checkpoint | None,
) -> tuple[Teacher, float]:
    """Return the fine-tuned teacher and its dev accuracy.

    Args:
        encoder: the encoder to fine-tune.
        data: training rows as `tokenize_for_teacher` returns them.
        dev: dev rows, likewise.
        classes: number of labels.
        seed: random seed.
        checkpoint: where to resume from and save to.
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
    """Return the hyperparameters of a fine-tuning.

    The number of epochs gives 1,000 updates plus 10 per class, between 2 and 20 epochs. Training
    stops early after a third of the epochs, at least two, without a better dev score.
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
    """Return the number of tokens that a teacher reads of a text."""
    return int(min(MAX_TEACHER_TOKENS, encoder.tokenizer.model_max_length))


def tokenize_for_teacher(
    encoder: Encoder, texts: Sequence[str], labels: NDArray[np.int64] | None = None
) -> Dataset:
    """Tokenize texts with the encoder's tokenizer.

    Args:
        encoder: the encoder.
        texts: the texts.
        labels: (N,) index of each text's label; None: no labels.
    """
    chunks = (
        texts[start : start + TEXTS_PER_CHUNK] for start in range(0, len(texts), TEXTS_PER_CHUNK)
    )
    return to_dataset(
        chain.from_iterable(encode_texts(encoder, chunk)["input_ids"] for chunk in chunks), labels
    )


def encode_texts(encoder: Encoder, texts: Sequence[str], **outputs: bool) -> Any:
    """Return the encoder's tokens of texts, at most `max_input_tokens` of each.

    Args:
        encoder: the encoder.
        texts: the texts.
        outputs: further outputs of the tokenizer, such as `return_offsets_mapping=True`.
    """
    limit = max_input_tokens(encoder)
    return encoder.tokenizer(list(texts), truncation=True, max_length=limit, **outputs)


def to_dataset(rows: Iterable[Sequence[int]], labels: NDArray[np.int64] | None = None) -> Dataset:
    """Return texts given as the encoder's token ids, special tokens included, as a dataset.

    Each id is increased by 1, because id 0 is padding.
    """
    ids, starts = array("i"), array("q", [0])
    for row in rows:
        ids.extend(token + 1 for token in row or [0])
        starts.append(len(ids))
    if labels is None:
        labels = np.full(len(starts) - 1, NO_LABEL, dtype=np.int64)
    return Dataset(np.asarray(ids), np.asarray(starts), labels)
