"""A training set stores labelled, unlabelled and augmented texts separately."""

from pathlib import Path

import numpy as np
import pytest
import torch

from heed.model.data.labelled import LabelledTexts
from heed.model.errors import DataError
from heed.model.text.tokenizer import Tokenizer
from heed.model.training.dataset import NO_LABEL
from heed.model.training.distillation_targets import (
    StateProjection,
    TeacherOutputs,
    TokenTargets,
)
from heed.model.training.training_set import TrainingTexts, tokenize_training_texts

LABELLED = LabelledTexts(Path("a.csv"), ["a good film", "a bad book"], ["y", "x"], [2, 3])
UNLABELLED = LabelledTexts(Path("b.csv"), ["a film", "a book"], ["", ""], [2, 3])
TOKENIZER = Tokenizer.fit([*LABELLED.texts, "more film"], 100)


def test_texts_are_ordered_by_their_origin() -> None:
    texts = TrainingTexts(LABELLED, UNLABELLED, ["bad film"])
    assert texts.pseudo_labelled == ["a film", "a book", "bad film"]
    assert texts.texts == [*LABELLED.texts, *texts.pseudo_labelled]
    data = tokenize_training_texts(texts, TOKENIZER, ["x", "y"], 9)
    assert data.all_texts().labels.tolist() == [1, 0, NO_LABEL, NO_LABEL, NO_LABEL]
    assert data.all_texts().token_ids() == [TOKENIZER.ids(text) for text in texts.texts]
    assert data.cut(2).all_texts().lengths.max() == 2
    assert data.labelled.labels.tolist() == [1, 0]


def test_without_a_teacher_only_labelled_texts_are_used() -> None:
    data = tokenize_training_texts(TrainingTexts(LABELLED), TOKENIZER, ["x", "y"], 9)
    assert data.pseudo_labelled is None
    assert data.all_texts() is data.labelled


def test_a_text_without_a_token_names_its_file_and_row() -> None:
    blank = LabelledTexts(Path("b.csv"), ["film", "\u200d"], ["", ""], [2, 3])
    with pytest.raises(DataError, match=r"b\.csv, row 3: the text contains no token"):
        tokenize_training_texts(TrainingTexts(LABELLED, blank), TOKENIZER, ["x", "y"], 9)


def test_the_teacher_labels_what_has_no_label() -> None:
    texts = TrainingTexts(LABELLED, None, ["bad film"])
    data = tokenize_training_texts(texts, TOKENIZER, ["x", "y"], 9)
    outputs = TeacherOutputs(
        np.array([[9, 0], [9, 0], [9, 0]], dtype=np.float16),
        TokenTargets(np.zeros((0, 2), dtype=np.int8), np.zeros(4, dtype=np.int64)),
        StateProjection(torch.zeros(3), torch.zeros(3, 2)),
        1.0,
    )
    distilled = data.distilled(outputs)
    assert distilled.labels.tolist() == [1, 0, 0]
    assert distilled.soft_labels is not None
    assert distilled.soft_labels.argmax(axis=1).tolist() == [0, 0, 0]
    assert distilled.soft_labels[0, 1] > 0.2 > distilled.soft_labels[1, 1]
    assert distilled.targets([0]).shape == (1, 2)
    assert data.labelled.targets([0]).tolist() == [1]
