"""Checkpoints: a resumed training gives the same tensors, and damaged files are errors."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from heed.model.data.labelled import read_labelled
from heed.model.errors import DataError
from heed.model.nn.network import NetworkConfig
from heed.model.text.tokenizer import Tokenizer
from heed.model.training.checkpoint import FORMAT, METADATA, OLDER_METADATA, STATE, Checkpoint
from heed.model.training.config import TrainConfig
from heed.model.training.dataset import Dataset, tokenize_rows
from heed.model.training.trainer import train_network
from tests.training.test_metadata import METADATA_EXAMPLE


class Stopped(Exception):
    """Raised where a real process would be killed."""


class StoppingCheckpoint(Checkpoint):
    """Saves after every update, and stops the training after a number of saves."""

    def __init__(self, path: Path, stop: int) -> None:
        super().__init__(path)
        self.saves, self.stop = 0, stop

    @property
    def save_is_due(self) -> bool:
        return True

    def save(self, *arguments: object) -> None:
        super().save(*arguments)  # type: ignore[arg-type]
        self.saves += 1
        if self.saves == self.stop:
            raise Stopped


@pytest.fixture(scope="module")
def dataset(train_csv: Path) -> Dataset:
    rows = read_labelled(train_csv).take(range(50))
    return tokenize_rows(rows, Tokenizer.fit(rows.texts, 300), ["negative", "positive"], 32)


NETWORK = NetworkConfig(vocabulary=300, classes=2, max_tokens=32, width=8, heads=2)
CONFIG = TrainConfig(vocabulary=300, max_tokens=32, epochs=3, batch=16, patience=2, seed=4)


@pytest.mark.parametrize("stop", [1, 3, 4, 5, 6, 9])
def test_a_training_stopped_at_any_save_resumes_with_equal_tensors(
    tmp_path: Path, dataset: Dataset, stop: int
) -> None:
    whole = train_network(NETWORK, CONFIG, dataset, dataset)
    with pytest.raises(Stopped):
        train_network(
            NETWORK, CONFIG, dataset, dataset, checkpoint=StoppingCheckpoint(tmp_path, stop)
        )
    resumed = train_network(NETWORK, CONFIG, dataset, dataset, checkpoint=Checkpoint(tmp_path))
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name
    finished = train_network(NETWORK, CONFIG, dataset, dataset, checkpoint=Checkpoint(tmp_path))
    assert torch.equal(finished.head.weight, whole.head.weight)


def test_a_damaged_state_is_an_error(tmp_path: Path, dataset: Dataset) -> None:
    checkpoint = Checkpoint(tmp_path)
    with pytest.raises(DataError, match="no checkpoint there"):
        checkpoint.metadata()
    with pytest.raises(DataError, match="no epoch is finished"):
        checkpoint.best()
    train_network(NETWORK, CONFIG, dataset, dataset, checkpoint=checkpoint)
    assert load_file(tmp_path / STATE)
    (tmp_path / STATE).write_bytes((tmp_path / STATE).read_bytes()[:-8])
    with pytest.raises(DataError, match="damaged"):
        checkpoint.best()


def test_saved_metadata_is_read_back(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path)
    checkpoint.save_metadata(METADATA_EXAMPLE)
    assert checkpoint.exists
    assert checkpoint.metadata() == METADATA_EXAMPLE


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "damaged: Expecting value"),
        ("[" * 100_000, "damaged: "),
        ("[]", "damaged: it is not a JSON object"),
        (json.dumps({"format": FORMAT}), "damaged: .*name"),
        (json.dumps({"format": FORMAT, "x": 1} | asdict(METADATA_EXAMPLE)), "damaged: .* x "),
        (json.dumps({"format": FORMAT + 1}), "written by a newer version of Heed; update Heed"),
    ],
)
def test_damaged_metadata_is_an_error_of_one_line(
    tmp_path: Path, content: str, message: str
) -> None:
    (tmp_path / METADATA).write_text(content)
    with pytest.raises(DataError, match=message) as caught:
        Checkpoint(tmp_path).metadata()
    assert "\n" not in str(caught.value)


def test_a_checkpoint_of_an_older_version_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / OLDER_METADATA).write_text('{"format": 6, "network": {"width": 1}}')
    assert Checkpoint(tmp_path).exists
    with pytest.raises(DataError, match=r"written by Heed 0\.1\.0; use it with .*==0\.1\.0"):
        Checkpoint(tmp_path).metadata()
