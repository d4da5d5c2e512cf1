"""A fine-tuned sentence encoder teaches the network (Hinton et al. 2015, Tang et al. 2019).

It learns the labels of the training rows, then says of them, and of more text that nobody labelled,
how probable it finds each label. These soft labels are what the network learns: they tell which
labels are alike, and there can be as many as there is text. Serving needs nothing of the encoder.
"""

import math
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, compress, islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from model.augment import LONG
from model.checkpoint import Checkpoint
from model.classifier import softmax
from model.data import Labelled, label_ids
from model.dataset import Dataset
from model.encoder import Encoder, read_encoder
from model.plan import TrainConfig
from model.progress import counting
from model.train import fit, logits, reproducible

TEMPERATURE = 2.0
"""Soft labels are softmax(teacher's logits / this): the higher, the more shows of the unlikely."""
TRUTH = 0.2
"""Share of a training row's target that is its own label; the rest is the teacher's."""
CERTAIN = 20.0
"""Logit of a row's own label where the teacher has no say."""
HEAD_RATE = 20.0
"""Learning rate of the new layer, as a multiple of the pretrained ones'."""
CHUNK = 1024
"""Texts labelled between two looks at the clock."""


@dataclass(frozen=True)
class Judgement:
    """What the teacher says of a batch: (B, C)."""

    logits: Tensor


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

    def forward(self, ids: Tensor) -> Judgement:
        """Classify token ids (B, T)."""
        mask = (ids != 0).long()  # (B, T)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.halved):
            states = self.encoder(input_ids=(ids - 1).clamp(min=0), attention_mask=mask)
        share = mask / mask.sum(dim=1, keepdim=True)
        mean = (share[:, None] @ states.last_hidden_state.float()).squeeze(1)  # (B, D)
        return Judgement(self.head(self.dropout(mean)))


@dataclass(frozen=True)
class SoftLabels:
    """What a teacher says of N texts."""

    logits: NDArray[np.float16]  # (N, C)
    accuracy: float
    """Its own, on dev."""

    def labels(self, own: NDArray[np.int64]) -> NDArray[np.int64]:
        """A label for each text, (N,): its own where it has one, else what the teacher says."""
        labels: NDArray[np.int64] = self.logits.argmax(axis=1)
        labels[: len(own)] = own
        return labels

    def targets(self, own: NDArray[np.int64]) -> NDArray[np.float16]:
        """What the network is to learn, (N, C), each row a distribution.

        The first texts have labels of their own, each worth `TRUTH` of its row.
        """
        targets = np.empty_like(self.logits)
        for start in range(0, len(targets), CHUNK):
            rows = softmax(self.logits[start : start + CHUNK].astype(np.float64) / TEMPERATURE)
            labelled = own[start : start + CHUNK]
            rows[: len(labelled)] *= 1 - TRUTH
            rows[np.arange(len(labelled)), labelled] += TRUTH
            targets[start : start + CHUNK] = rows
        return targets


def teach(
    source: str,
    rows: Labelled,
    dev: Labelled,
    labels: Sequence[str],
    more: Sequence[str],
    *,
    seed: int,
    checkpoint: Checkpoint | None,
    note: Callable[[str], None],
) -> SoftLabels:
    """Fine-tune an encoder on the training rows and let it label them and more text.

    It learns from the rows that it reads whole, where these are the most; a row that it cannot read
    whole keeps its own label. Stopped, it goes on from where `checkpoint` stands: in the
    fine-tuning, or in the labelling.

    Args:
        source: the encoder, see `read_encoder`.
        rows: training rows.
        dev: rows that say which epoch of the fine-tuning is the best.
        labels: of the network, in its order.
        more: text without labels, labelled after the rows.
        seed: decides everything random.
        checkpoint: where the teacher and its labels are kept.
        note: told what begins.

    Raises:
        HeedError: see `read_encoder`.
    """
    total = len(rows.texts) + len(more)
    saved = checkpoint.soft_labels() if checkpoint else None
    if saved is not None and len(saved[0]) == total:
        return SoftLabels(*saved)
    note(f"fine-tuning {source} to teach")
    encoder = read_encoder(source, "--teacher")
    numbers = label_ids(rows, labels)
    lessons = _tokenize(encoder, rows.texts, numbers)
    whole = lessons.lengths < _longest(encoder)
    if whole.mean() > 0.5:
        lessons = lessons.take(np.flatnonzero(whole))
    with reproducible(seed):
        teacher = Teacher(encoder, len(labels))
        config = teacher_plan(len(lessons), len(labels), seed)
        state = fit(
            teacher,
            _optimizer(teacher, config),
            config,
            lessons,
            _tokenize(encoder, dev.texts, label_ids(dev, labels)),
            checkpoint=checkpoint.of_teacher() if checkpoint else None,
            title="teacher",
        )
    note(f"the teacher labels {total:,} texts")
    found = np.empty((total, len(labels)), dtype=np.float16)
    done = 0
    if saved is not None:
        done = len(saved[0])
        found[:done] = saved[0]
    waiting = islice(chain(rows.texts, more), done, None)
    with counting("texts labelled", total, done) as count:
        while texts := list(islice(waiting, CHUNK)):
            start, done = done, done + len(texts)
            own = CERTAIN * np.eye(len(labels), dtype=np.float16)[numbers[start:done]]
            asked = np.ones(len(texts), dtype=bool)
            asked[: len(own)] = whole[start:done]
            found[start : start + len(own)] = own
            if asked.any():
                tokens = _tokenize(encoder, list(compress(texts, asked)))
                found[start:done][asked] = logits(teacher, tokens).numpy()
            count(done)
            if checkpoint and (checkpoint.due or done == total):
                checkpoint.save_soft_labels(found[:done], state.best_score)
    return SoftLabels(found, state.best_score)


def teacher_plan(rows: int, classes: int, seed: int) -> TrainConfig:
    """The schedule of a fine-tuning.

    Epochs are as many as give 1,000 updates and 10 more a class, from 2 to 20; a third of them
    without a better dev score, but at least two, end it.
    """
    batch = 32 if rows > 4000 else 16
    epochs = min(20, max(2, math.ceil((1000 + 10 * classes) / math.ceil(rows / batch))))
    return TrainConfig(
        vocabulary=0,
        max_tokens=LONG,
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
        {"params": list(teacher.head.parameters()), "rate": HEAD_RATE},
    ]
    return torch.optim.AdamW(
        groups, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )


def _longest(encoder: Encoder) -> int:
    return int(min(LONG, encoder.tokenizer.model_max_length))


def _tokenize(
    encoder: Encoder, texts: Sequence[str], labels: NDArray[np.int64] | None = None
) -> Dataset:
    """Texts as the encoder's own ids plus 1, its special tokens among them."""
    longest = _longest(encoder)
    ids, starts = array("i"), array("q", [0])
    for start in range(0, len(texts), CHUNK):
        chunk = list(texts[start : start + CHUNK])
        for row in encoder.tokenizer(chunk, truncation=True, max_length=longest)["input_ids"]:
            ids.extend(number + 1 for number in row or [0])
            starts.append(len(ids))
    if labels is None:
        labels = np.zeros(len(texts), dtype=np.int64)
    return Dataset(np.asarray(ids), np.asarray(starts), labels)
