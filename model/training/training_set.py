"""The texts that a network is trained on, by their origin."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from heed.model.data import LabelledTexts
from heed.model.text import Tokenizer
from heed.model.training.dataset import Dataset, tokenize_rows, tokenize_texts
from heed.model.training.distillation_targets import TeacherOutputs


@dataclass(frozen=True)
class TrainingTexts:
    """The texts of a training set, by their origin."""

    labelled: LabelledTexts
    """Training rows. Only these have labels."""
    unlabelled: LabelledTexts | None = None
    """Texts of a file without labels, which the teacher labels."""
    augmented: Sequence[str] = ()
    """Texts made of the training rows, which the teacher labels."""

    @property
    def pseudo_labelled(self) -> list[str]:
        """The texts that only the teacher labels: unlabelled, then augmented."""
        return [*(self.unlabelled.texts if self.unlabelled else ()), *self.augmented]

    @property
    def texts(self) -> list[str]:
        """All texts: labelled, then unlabelled, then augmented."""
        return [*self.labelled.texts, *self.pseudo_labelled]


@dataclass(frozen=True)
class TrainingSet:
    """The tokenized texts of a training set, by their origin."""

    labelled: Dataset
    pseudo_labelled: Dataset | None
    """Unlabelled and augmented texts; None if there are none."""

    def cut(self, max_tokens: int) -> "TrainingSet":
        """Return the training set with texts cut to at most `max_tokens` tokens."""
        others = self.pseudo_labelled
        return TrainingSet(
            self.labelled.cut(max_tokens), None if others is None else others.cut(max_tokens)
        )

    def all_texts(self) -> Dataset:
        """Return all texts, in the order of `TrainingTexts.texts`."""
        if self.pseudo_labelled is None:
            return self.labelled
        return concatenate(self.labelled, self.pseudo_labelled)

    def distilled(self, outputs: TeacherOutputs) -> Dataset:
        """Return all texts with the teacher's labels, soft labels and token targets.

        Args:
            outputs: of the teacher, for all texts in the order of `TrainingTexts.texts`.
        """
        data = self.all_texts()
        return Dataset(
            data.ids,
            data.starts,
            outputs.labels(data.labels),
            soft_labels=outputs.soft_labels(data.labels),
            token_targets=outputs.token_targets,
        )


def tokenize_training_texts(
    texts: TrainingTexts, tokenizer: Tokenizer, labels: Sequence[str], max_tokens: int
) -> TrainingSet:
    """Tokenize the texts of a training set.

    Raises:
        DataError: a text has no token.
    """
    labelled = tokenize_rows(texts.labelled, tokenizer, labels, max_tokens)
    parts: list[Dataset] = []
    if texts.unlabelled:
        parts.append(tokenize_rows(texts.unlabelled, tokenizer, None, max_tokens))
    if texts.augmented:
        parts.append(tokenize_texts(texts.augmented, tokenizer, max_tokens))
    return TrainingSet(labelled, concatenate(*parts) if parts else None)


def concatenate(*parts: Dataset) -> Dataset:
    """Return the texts of several datasets as one, without distillation targets."""
    starts, offset = [np.zeros(1, dtype=np.int64)], 0
    for part in parts:
        starts.append(part.starts[1:] + offset)
        offset += int(part.starts[-1])
    return Dataset(
        np.concatenate([part.ids for part in parts]),
        np.concatenate(starts),
        np.concatenate([part.labels for part in parts]),
    )
