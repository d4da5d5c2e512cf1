"""The hyperparameter search."""

from pathlib import Path

import numpy as np
import pytest

from heed.model.data.labelled import read_labelled
from heed.model.metrics.calibration import Floats
from heed.model.text.tokenizer import Tokenizer
from heed.model.training.config import TrainConfig
from heed.model.training.dataset import Dataset, tokenize_rows
from heed.model.training.search import SEARCH_VALUES, Trial, neighbour, search_config

PLANNED = TrainConfig(
    vocabulary=300, max_tokens=32, epochs=1, batch=16, patience=3, width=16, heads=2, hidden=32
)


@pytest.fixture(scope="module")
def parts(train_csv: Path) -> tuple[Dataset, Dataset]:
    rows = read_labelled(train_csv)
    tokenizer = Tokenizer.fit(rows.texts, PLANNED.vocabulary)
    whole = tokenize_rows(rows, tokenizer, ["negative", "positive"], PLANNED.max_tokens)
    positions = np.arange(len(whole))
    return whole.take(positions[60:]), whole.take(positions[:60])


def search(
    parts: tuple[Dataset, Dataset],
    minutes: float,
    fixed: tuple[str, ...] = (),
    ngram_logits: Floats | None = None,
) -> list[Trial]:
    trials: list[Trial] = []
    best = search_config(
        PLANNED, PLANNED.network(300, 2), *parts, initial_embeddings=None,
        ngram_logits=ngram_logits, fixed=frozenset(fixed), minutes=minutes, on_trial=trials.append,
    )  # fmt: skip
    assert best is min(trials, key=lambda trial: trial.cross_entropy)
    return trials


def test_it_starts_with_the_derived_values_and_ends_when_all_are_tried(
    parts: tuple[Dataset, Dataset],
) -> None:
    fixed = tuple(name for name in SEARCH_VALUES if name != "blocks")
    trials = search(parts, 10, fixed)
    assert trials[0].changed == {}
    changes = [tuple(trial.changed.items()) for trial in trials]
    assert len(set(changes)) == len(changes) > 1
    assert set(changes[1:]) <= {(("blocks", blocks),) for blocks in SEARCH_VALUES["blocks"]}
    assert all(0 <= trial.accuracy <= 1 for trial in trials)


def test_more_time_continues_the_same_search(parts: tuple[Dataset, Dataset]) -> None:
    short, long = search(parts, 0.01), search(parts, 0.03)
    shared = min(len(short), len(long))
    assert short[:shared] == long[:shared]


def test_without_time_only_the_derived_values_are_tried(parts: tuple[Dataset, Dataset]) -> None:
    assert [trial.changed for trial in search(parts, 0)] == [{}]


def test_a_step_goes_to_the_next_value() -> None:
    assert neighbour((0.1, 0.2, 0.4), 0.2, 1) == 0.4
    assert neighbour((0.1, 0.2, 0.4), 0.3, -1) == 0.2
    assert neighbour((0.1, 0.2, 0.4), 0.4, 1) == 0.4


def test_a_trial_is_scored_together_with_the_ngram_model(parts: tuple[Dataset, Dataset]) -> None:
    ngram_logits = 5 * np.eye(2, dtype=np.float32)[parts[1].labels]
    (trial,) = search(parts, 0, ngram_logits=ngram_logits)
    assert trial.accuracy == 1
    assert trial.cross_entropy < 0.1
