"""The search for better settings than the plan's."""

import math
from pathlib import Path

import numpy as np
import pytest

from heed.model.data.labelled import read_labelled
from heed.model.inference.bundle import Bundle
from heed.model.metrics.calibration import Floats
from heed.model.text.tokenizer import Tokenizer
from heed.model.training.config import TrainConfig
from heed.model.training.dataset import Dataset, tokenize_texts
from heed.model.training.search import SEARCH_VALUES, Trial, _step, search_config
from heed.model.training.trainer import DeadlinePassed, train_network
from tests.support.command import heed

PLANNED = TrainConfig(
    vocabulary=300, max_tokens=32, epochs=2, batch=16, patience=3, width=16, heads=2, hidden=32
)


@pytest.fixture(scope="module")
def parts(train_csv: Path) -> tuple[Dataset, Dataset]:
    rows = read_labelled(train_csv)
    tokenizer = Tokenizer.fit(rows.texts, PLANNED.vocabulary)
    whole = tokenize_texts(rows, tokenizer, ["negative", "positive"], PLANNED.max_tokens)
    places = whole.starts.argsort()[:-1]
    return whole.take(places[60:]), whole.take(places[:60])


def search(
    parts: tuple[Dataset, Dataset],
    minutes: float,
    fixed: tuple[str, ...] = (),
    ngram_logits: Floats | None = None,
) -> list[Trial]:
    trials: list[Trial] = []
    best = search_config(
        PLANNED, PLANNED.network(300, 2), *parts,
        table=None, ngram_logits=ngram_logits, fixed=frozenset(fixed), minutes=minutes, told=trials.append,
    )  # fmt: skip
    assert best is min(trials, key=lambda trial: trial.cross_entropy)
    return trials


def test_it_begins_with_the_plan_and_walks_from_the_best(parts: tuple[Dataset, Dataset]) -> None:
    fixed = tuple(name for name in SEARCH_VALUES if name != "blocks")
    trials = search(parts, 10, fixed)  # ends by itself, when all values were tried
    assert trials[0].changed == {}
    changes = [tuple(trial.changed.items()) for trial in trials]
    assert len(set(changes)) == len(changes) > 1
    assert set(changes[1:]) <= {(("blocks", blocks),) for blocks in SEARCH_VALUES["blocks"]}
    assert all(0 <= trial.accuracy <= 1 for trial in trials)


def test_more_time_goes_on_where_less_would_end(parts: tuple[Dataset, Dataset]) -> None:
    short, long = search(parts, 0.03), search(parts, 0.08)
    shared = min(len(short), len(long))
    assert short[:shared] == long[:shared]


def test_without_time_there_is_the_plan(parts: tuple[Dataset, Dataset]) -> None:
    assert [trial.changed for trial in search(parts, 0)] == [{}]


def test_a_training_gives_up_at_its_deadline(parts: tuple[Dataset, Dataset]) -> None:
    with pytest.raises(DeadlinePassed):
        train_network(PLANNED.network(300, 2), PLANNED, *parts, deadline=-math.inf)


def test_a_step_goes_to_the_neighbour() -> None:
    assert _step((0.1, 0.2, 0.4), 0.2, 1) == 0.4
    assert _step((0.1, 0.2, 0.4), 0.3, -1) == 0.2
    assert _step((0.1, 0.2, 0.4), 0.4, 1) == 0.4


def test_the_command_tells_what_it_found(train_csv: Path, tmp_path: Path) -> None:
    arguments = ["train", train_csv, "--out", tmp_path / "bundle", "--checkpoint", tmp_path / "c"]
    arguments += ["--epochs", 1, "--width", 16, "--heads", 2, "--tune", 0.05]
    done = heed(*arguments)
    tuned = Bundle.load(tmp_path / "bundle").config.training["tuned"]
    assert done.stderr.count("cross-entropy") == tuned["trials"] >= 1
    assert not {"epochs", "width", "heads"} & tuned["changed"].keys()
    card = (tmp_path / "bundle" / "README.md").read_text("utf-8")
    assert f"{tuned['trials']} settings were tried on dev in 0.05 minutes" in card
    again = heed(*arguments, "--resume", "--force")
    assert "cross-entropy" not in again.stderr  # found already
    assert Bundle.load(tmp_path / "bundle").config.training["tuned"] == tuned


def test_a_trial_is_judged_by_what_is_shipped(parts: tuple[Dataset, Dataset]) -> None:
    ngram_logits = 5 * np.eye(2, dtype=np.float32)[parts[1].labels]
    (trial,) = search(parts, 0, ngram_logits=ngram_logits)
    assert trial.accuracy == 1
    assert trial.cross_entropy < 0.1
