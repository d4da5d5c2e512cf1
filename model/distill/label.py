"""From texts to lessons: a teacher goes through them and says what it makes of each."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain, compress, islice

import numpy as np
import torch
from numpy.typing import NDArray

from heed.model.data.labelled import LabelledTexts, label_ids
from heed.model.distill.augment import MAX_TEACHER_TOKENS
from heed.model.distill.encoder import Encoder, read_encoder
from heed.model.distill.teacher import (
    Teacher,
    encode_texts,
    fine_tune,
    max_input_tokens,
    to_dataset,
    tokenize_for_teacher,
)
from heed.model.text.tokenizer import Tokenizer, length_batches
from heed.model.training.checkpoint import Checkpoint
from heed.model.training.distillation_targets import TeacherOutputs
from heed.model.training.progress import counting
from heed.model.training.token_targets import StateProjection, TokenTargets, align_token_targets
from heed.model.training.trainer import DEV_TOKENS

OWN_LABEL_LOGIT = 20.0
"""Logit of a row's own label where the teacher has no say."""
CHUNK = 1024
"""Texts labelled between two looks at the clock."""
PROJECTION_TEXTS = 256
"""Texts that decide what of a teacher's states is kept."""


def distill(
    source: str,
    rows: LabelledTexts,
    dev: LabelledTexts,
    labels: Sequence[str],
    more: Sequence[str],
    tokenizer: Tokenizer,
    *,
    seed: int,
    checkpoint: Checkpoint | None,
    note: Callable[[str], None],
) -> TeacherOutputs:
    """Fine-tune an encoder on the training rows and let it label them and more text.

    It learns from the rows that it reads whole, where these are the most; a row that it cannot read
    whole keeps its own label and has no hints. Stopped, it goes on from where `checkpoint` stands:
    in the fine-tuning, or in the labelling.

    Args:
        source: the encoder, see `read_encoder`.
        rows: training rows.
        dev: rows that say which epoch of the fine-tuning is the best.
        labels: of the network, in its order.
        more: text without labels, labelled after the rows.
        tokenizer: of the network, for whose tokens hints are made.
        seed: decides everything random.
        checkpoint: where the teacher and its lessons are kept.
        note: told what begins.

    Raises:
        HeedError: see `read_encoder`.
    """
    total = len(rows.texts) + len(more)
    teacher_outputs = checkpoint.teacher_outputs() if checkpoint else None
    if teacher_outputs is not None and len(teacher_outputs.logits) == total:
        return teacher_outputs
    note(f"fine-tuning {source} to teach")
    encoder = read_encoder(source, "--teacher")
    numbers = label_ids(rows, labels)
    learnt = tokenize_for_teacher(encoder, rows.texts, numbers)
    whole = learnt.lengths < max_input_tokens(encoder)
    if whole.mean() > 0.5:
        learnt = learnt.take(np.flatnonzero(whole))
    saved = checkpoint.of_teacher() if checkpoint else None
    scored = tokenize_for_teacher(encoder, dev.texts, label_ids(dev, labels))
    teacher, accuracy = fine_tune(encoder, learnt, scored, len(labels), seed, saved)
    note(f"the teacher labels {total:,} texts")
    if teacher_outputs is None:
        first = list(islice(chain(rows.texts, more), PROJECTION_TEXTS))
        teacher_outputs = TeacherOutputs.none(
            len(labels), _reduction(teacher, encoder, first), accuracy
        )
    labelling = TextLabeller(teacher, encoder, tokenizer, teacher_outputs)
    waiting = islice(chain(rows.texts, more), labelling.done, None)
    with counting("texts labelled", total, labelling.done) as count:
        while texts := list(islice(waiting, CHUNK)):
            place = slice(labelling.done, labelling.done + len(texts))
            labelling.go_on(texts, numbers[place], whole[place])
            count(labelling.done)
            if checkpoint and (checkpoint.due or labelling.done == total):
                checkpoint.save_lessons(labelling.teacher_outputs())
    return labelling.teacher_outputs()


class TextLabeller:
    """A teacher that goes through texts, and what it has said so far."""

    def __init__(
        self,
        teacher: Teacher,
        encoder: Encoder,
        tokenizer: Tokenizer,
        begun: TeacherOutputs,
    ) -> None:
        """Args:
        teacher: fine-tuned.
        encoder: what it is made of, whose tokenizer it reads with.
        tokenizer: of the network.
        begun: lessons to go on from, of no text at first.
        """
        self._teacher = teacher.eval()
        self._encoder = encoder
        self._tokenizer = tokenizer
        self._begun = begun
        self._logits = [begun.logits]
        self._hints = [begun.token_targets.numbers]
        self._counts = [np.diff(begun.token_targets.starts)]
        self.done = len(begun.logits)

    def teacher_outputs(self) -> TeacherOutputs:
        """What was said so far."""
        starts = np.concatenate([[0], np.cumsum(np.concatenate(self._counts))])
        token_targets = TokenTargets(np.concatenate(self._hints), starts)
        return replace(
            self._begun, logits=np.concatenate(self._logits), token_targets=token_targets
        )

    def go_on(self, texts: list[str], own: NDArray[np.int64], whole: NDArray[np.bool_]) -> None:
        """Label some texts, at most `CHUNK`.

        Args:
            texts: what to label.
            own: labels of the first of them, which have some.
            whole: which of these the teacher can read whole; the others keep their label.
        """
        classes = self._teacher.head.out_features
        logits = np.zeros((len(texts), classes), dtype=np.float16)
        logits[np.arange(len(own)), own] = OWN_LABEL_LOGIT
        asked = np.concatenate([whole, np.ones(len(texts) - len(own), dtype=bool)])
        counts = np.zeros(len(texts), dtype=np.int64)
        if asked.any():
            logits[asked], token_targets = self._ask(list(compress(texts, asked)))
            counts[asked] = list(map(len, token_targets))
            self._hints.append(np.concatenate(token_targets))
        self._logits.append(logits)
        self._counts.append(counts)
        self.done += len(texts)

    @torch.no_grad()
    def _ask(self, texts: list[str]) -> tuple[NDArray[np.float16], list[NDArray[np.int8]]]:
        """The teacher's logits (n, C) and, for each text, hints for the network's tokens."""
        tokens = encode_texts(
            self._encoder, texts, return_offsets_mapping=True, return_special_tokens_mask=True
        )
        data = to_dataset(tokens["input_ids"])
        logits = np.zeros((len(texts), self._teacher.head.out_features), dtype=np.float16)
        token_targets: dict[int, NDArray[np.int8]] = {}
        for positions in length_batches(data.lengths.tolist(), DEV_TOKENS):
            judgement = self._teacher(data.batch(positions)[0])
            logits[positions] = judgement.logits.numpy()
            reduced = self._begun.reduction(judgement.states).numpy()
            for row, position in enumerate(positions):
                places = np.flatnonzero(np.equal(tokens["special_tokens_mask"][position], 0))
                theirs = np.array(tokens["offset_mapping"][position])[places]
                ours = self._tokenizer.encode(texts[position], MAX_TEACHER_TOKENS).spans
                token_targets[position] = align_token_targets(
                    np.array(ours), theirs, reduced[row, places]
                )
        return logits, [token_targets[place] for place in range(len(texts))]


@torch.no_grad()
def _reduction(teacher: Teacher, encoder: Encoder, texts: list[str]) -> StateProjection:
    """What of a teacher's states is kept, as these texts, which are read at once, suggest."""
    ids, _ = tokenize_for_teacher(encoder, texts).batch(range(len(texts)))
    return StateProjection.fit(teacher.eval()(ids).states[ids != 0])
