"""Label texts with a fine-tuned teacher: soft labels, and targets for the network's tokens."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import compress

import numpy as np
import torch
from numpy.typing import NDArray

from heed.model.data import LabelledTexts, label_ids
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
from heed.model.text import Tokenizer, length_batches
from heed.model.training import (
    INFERENCE_TOKENS,
    NO_LABEL,
    Checkpoint,
    StateProjection,
    TeacherOutputs,
    TokenTargets,
    TrainingTexts,
    align_token_targets,
    progress_bar,
)

TRUE_LABEL_LOGIT = 20.0
"""Logit of the true label of a text that the teacher does not label."""
TEXTS_PER_STEP = 1024
"""Texts labelled between two saves."""
PROJECTION_TEXTS = 256
"""Number of texts that `StateProjection` is fitted to."""


def distill(
    source: str,
    texts: TrainingTexts,
    dev: LabelledTexts,
    labels: Sequence[str],
    tokenizer: Tokenizer,
    *,
    seed: int,
    checkpoint: Checkpoint | None,
    on_message: Callable[[str], None],
) -> TeacherOutputs:
    """Fine-tune an encoder on the training rows, and label all training texts with it.

    If the teacher can read most rows completely, it is fine-tuned on these only. A labelled row
    that it cannot read completely keeps its true label and gets no token targets.

    Args:
        source: the encoder, see `read_encoder`.
        texts: the texts to label. The labelled ones are the training rows.
        dev: rows that decide which epoch of the fine-tuning is the best.
        labels: in the order of the network's outputs.
        tokenizer: of the network. The token targets are for its tokens.
        seed: random seed.
        checkpoint: where to resume the fine-tuning or the labelling from, and save to.
        on_message: callback for progress messages.

    Returns:
        The outputs for all texts, in the order of `TrainingTexts.texts`.

    Raises:
        HeedError: see `read_encoder`.
    """
    all_texts = texts.texts
    outputs = checkpoint.teacher_outputs() if checkpoint else None
    if outputs is not None and len(outputs.logits) == len(all_texts):
        return outputs
    on_message(f"fine-tuning the teacher {source}")
    encoder = read_encoder(source, "--teacher")
    true_labels = label_ids(texts.labelled, labels)
    rows = tokenize_for_teacher(encoder, texts.labelled.texts, true_labels)
    readable = rows.lengths < max_input_tokens(encoder)
    if readable.mean() > 0.5:
        rows = rows.take(np.flatnonzero(readable))
    teacher, accuracy = fine_tune(
        encoder,
        rows,
        tokenize_for_teacher(encoder, dev.texts, label_ids(dev, labels)),
        len(labels),
        seed,
        checkpoint.for_teacher() if checkpoint else None,
    )
    on_message(f"the teacher labels {len(all_texts):,} texts")
    if outputs is None:
        projection = fit_projection(teacher, encoder, all_texts[:PROJECTION_TEXTS])
        outputs = TeacherOutputs.empty(len(labels), projection, accuracy)
    labeller = TextLabeller(teacher, encoder, tokenizer, outputs)
    others = len(all_texts) - len(readable)
    true_labels = np.concatenate([true_labels, np.full(others, NO_LABEL)])
    # Texts without a true label are labelled in any case, as far as the teacher reads them.
    readable = np.concatenate([readable, np.ones(others, dtype=np.bool_)])
    with progress_bar("texts labelled", len(all_texts), labeller.done) as show:
        while labeller.done < len(all_texts):
            step = slice(labeller.done, labeller.done + TEXTS_PER_STEP)
            labeller.label(all_texts[step], true_labels[step], readable[step])
            show(labeller.done)
            if checkpoint and (checkpoint.save_is_due or labeller.done == len(all_texts)):
                checkpoint.save_teacher_outputs(labeller.outputs())
    return labeller.outputs()


class TextLabeller:
    """Labels texts step by step, and collects the teacher's outputs."""

    def __init__(
        self, teacher: Teacher, encoder: Encoder, tokenizer: Tokenizer, outputs: TeacherOutputs
    ) -> None:
        """Continue after the texts that are already labelled.

        Args:
            teacher: fine-tuned.
            encoder: of the teacher, with its tokenizer.
            tokenizer: of the network.
            outputs: for the texts labelled so far, possibly none.
        """
        self._teacher = teacher.eval()
        self._encoder = encoder
        self._tokenizer = tokenizer
        self._first = outputs
        self._logits = [outputs.logits]
        self._token_targets = [outputs.token_targets.values]
        self._counts = [np.diff(outputs.token_targets.starts)]
        self.done = len(outputs.logits)

    def outputs(self) -> TeacherOutputs:
        """Return the outputs for the texts labelled so far."""
        starts = np.concatenate([[0], np.cumsum(np.concatenate(self._counts))])
        token_targets = TokenTargets(np.concatenate(self._token_targets), starts)
        logits = np.concatenate(self._logits)
        return replace(self._first, logits=logits, token_targets=token_targets)

    def label(
        self, texts: list[str], true_labels: NDArray[np.int64], readable: NDArray[np.bool_]
    ) -> None:
        """Label the next texts.

        Args:
            texts: the texts.
            true_labels: (N,) label of each text, or `NO_LABEL`.
            readable: (N,) which texts the teacher labels. The others have a true label and keep it.
        """
        logits = np.zeros((len(texts), self._teacher.head.out_features), dtype=np.float16)
        labelled = np.flatnonzero(true_labels != NO_LABEL)
        logits[labelled, true_labels[labelled]] = TRUE_LABEL_LOGIT
        counts = np.zeros(len(texts), dtype=np.int64)
        if readable.any():
            logits[readable], token_targets = self._predict(list(compress(texts, readable)))
            counts[readable] = list(map(len, token_targets))
            self._token_targets.append(np.concatenate(token_targets))
        self._logits.append(logits)
        self._counts.append(counts)
        self.done += len(texts)

    @torch.no_grad()
    def _predict(self, texts: list[str]) -> tuple[NDArray[np.float16], list[NDArray[np.int8]]]:
        """Return the teacher's logits (n, C), and each text's targets for the network's tokens."""
        tokens = encode_texts(
            self._encoder, texts, return_offsets_mapping=True, return_special_tokens_mask=True
        )
        data = to_dataset(tokens["input_ids"])
        logits = np.zeros((len(texts), self._teacher.head.out_features), dtype=np.float16)
        token_targets: dict[int, NDArray[np.int8]] = {}
        for positions in length_batches(data.lengths.tolist(), INFERENCE_TOKENS):
            output = self._teacher(data.batch(positions)[0])
            logits[positions] = output.logits.numpy()
            projected = self._first.projection(output.states).numpy()
            for row, position in enumerate(positions):
                ordinary = np.flatnonzero(np.equal(tokens["special_tokens_mask"][position], 0))
                token_targets[position] = align_token_targets(
                    np.array(self._tokenizer.encode(texts[position], MAX_TEACHER_TOKENS).spans),
                    np.array(tokens["offset_mapping"][position])[ordinary],
                    projected[row, ordinary],
                )
        return logits, [token_targets[position] for position in range(len(texts))]


@torch.no_grad()
def fit_projection(teacher: Teacher, encoder: Encoder, texts: list[str]) -> StateProjection:
    """Return the projection fitted to the teacher's hidden states of some texts."""
    ids, _ = tokenize_for_teacher(encoder, texts).batch(range(len(texts)))
    return StateProjection.fit(teacher.eval()(ids).states[ids != 0])
