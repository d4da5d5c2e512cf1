"""Which tokenizer and which token vectors a training starts with."""

from pathlib import Path
from typing import Any

import pytest

from heed.model.commands.initialization import choose_initialization
from heed.model.commands.options import TrainOptions
from heed.model.data.training_rows import DataFiles
from heed.model.training.config import LARGE_TRAINING_SET
from tests.support.texts import reviews


@pytest.mark.parametrize(
    ("options", "rows", "pretrained"),
    [
        ({}, 20, True),
        ({"init_embeddings": "none"}, 20, False),
        ({"overrides": {"vocabulary": 300}}, 20, False),
        ({"overrides": {"width": 256}}, 20, False),
        ({"overrides": {"width": 64}}, 20, True),
        ({}, LARGE_TRAINING_SET, False),
    ],
)
def test_english_vectors_are_used_for_few_english_rows(
    options: dict[str, Any], rows: int, pretrained: bool
) -> None:
    texts = [text for text, _ in reviews(20, 1)] * (rows // 20)
    files = DataFiles(train=(Path("a.csv"),))
    found = choose_initialization(
        TrainOptions(files=files, out=Path("out"), **options), texts, lambda _: None
    )
    assert (found.encoder is not None) == pretrained == (found.embeddings is not None)
