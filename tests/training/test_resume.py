"""A training that is killed goes on and ends as if nothing had happened."""

import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from heed.model.commands.train import export_checkpoint
from heed.model.data.labelled import read_labelled
from heed.model.errors import DataError
from heed.model.inference.bundle import Bundle
from heed.model.nn.network import NetworkConfig
from heed.model.text.tokenizer import Tokenizer
from heed.model.training.checkpoint import FORMAT, METADATA, STATE, TOKENIZER, Checkpoint
from heed.model.training.config import TrainConfig
from heed.model.training.dataset import Dataset, tokenize_texts
from heed.model.training.trainer import train_network
from tests.conftest import TRAIN_OPTIONS
from tests.support.command import ROOT, heed


def test_killed_and_resumed_is_uninterrupted(
    tmp_path: Path, train_csv: Path, test_csv: Path, trained: Path
) -> None:
    """Three processes make what the one that made `trained` did, byte for byte."""
    folder, out = tmp_path / "checkpoint", tmp_path / "reviews"
    arguments = [
        *("train", train_csv, "--out", out, "--test", test_csv, "--checkpoint", folder),
        *TRAIN_OPTIONS,
    ]
    running = subprocess.Popen(
        [sys.executable, "-m", "heed", *map(str, arguments)], cwd=ROOT, stderr=subprocess.DEVNULL
    )
    began = time.monotonic()
    while not (folder / STATE).exists():
        assert running.poll() is None
        assert time.monotonic() - began < 120
        time.sleep(0.001)
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    assert not out.exists()

    again = heed(*arguments, check=False)
    assert again.returncode == 2
    assert "add --resume" in again.stderr
    other = heed(*arguments, "--resume", "--dropout", 0.5, check=False)
    assert other.returncode == 2
    assert "was begun with --dropout 0.2, not 0.5" in other.stderr

    heed(*arguments, "--resume")
    whole, resumed = Bundle.load(trained), Bundle.load(out)
    assert resumed.model == whole.model
    assert resumed.tokenizer.to_json() == whole.tokenizer.to_json()
    assert resumed.config.temperature == whole.config.temperature
    assert resumed.config.scores == whole.config.scores


class Stopped(Exception):
    """Thrown instead of a kill."""


class StoppingCheckpoint(Checkpoint):
    """Saves after every update and stops at the one asked for."""

    def __init__(self, path: Path, stop: int) -> None:
        super().__init__(path)
        self.saves, self.stop = 0, stop

    @property
    def due(self) -> bool:
        return True

    def save(self, *arguments: object) -> None:
        super().save(*arguments)  # type: ignore[arg-type]
        self.saves += 1
        if self.saves == self.stop:
            raise Stopped


@pytest.fixture(scope="module")
def dataset(train_csv: Path) -> Dataset:
    rows = read_labelled(train_csv).take(range(50))
    return tokenize_texts(rows, Tokenizer.fit(rows.texts, 300), ["negative", "positive"], 32)


NETWORK = NetworkConfig(vocabulary=300, classes=2, max_tokens=32, width=8, heads=2)
CONFIG = TrainConfig(vocabulary=300, max_tokens=32, epochs=3, batch=16, patience=2, seed=4)


@pytest.mark.parametrize("stop", [1, 3, 4, 5, 6, 9])
def test_stopped_at_any_update(tmp_path: Path, dataset: Dataset, stop: int) -> None:
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


def test_a_damaged_state_is_one_sentence(tmp_path: Path, dataset: Dataset) -> None:
    checkpoint = Checkpoint(tmp_path)
    with pytest.raises(DataError, match="no checkpoint there"):
        checkpoint.job()
    with pytest.raises(DataError, match="no epoch was finished"):
        checkpoint.best()
    train_network(NETWORK, CONFIG, dataset, dataset, checkpoint=checkpoint)
    assert load_file(tmp_path / STATE)
    (tmp_path / STATE).write_bytes((tmp_path / STATE).read_bytes()[:-8])
    with pytest.raises(DataError, match="damaged"):
        checkpoint.best()


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        (METADATA, "", "job.json: damaged: Expecting value"),
        (METADATA, "[" * 100_000, "job.json: damaged: "),
        (METADATA, "[]", "job.json: damaged: it is no JSON object"),
        (METADATA, json.dumps({"format": FORMAT}), "job.json: damaged: it lacks 'config'"),
        (TOKENIZER, "", "tokenizer.json: damaged: "),
        (STATE, None, "state.safetensors: cannot be read: Is a directory"),
    ],
)
def test_a_damaged_file_is_one_sentence(
    checkpoint: Path, trained: Path, tmp_path: Path, name: str, content: str | None, says: str
) -> None:
    assert trained.exists()
    folder = Path(shutil.copytree(checkpoint, tmp_path / "checkpoint"))
    if content is None:
        (folder / name).unlink()
        (folder / name).mkdir()
    else:
        (folder / name).write_text(content)
    done = heed("export", folder, "--out", tmp_path / "bundle", check=False)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_weights_of_another_network_are_one_sentence(
    checkpoint: Path, trained: Path, tmp_path: Path
) -> None:
    assert trained.exists()
    folder = Path(shutil.copytree(checkpoint, tmp_path / "checkpoint"))
    job = Checkpoint(folder).job()
    job["network"]["width"] *= 2
    Checkpoint(folder).amend(job)
    with pytest.raises(DataError, match=r"state\.safetensors: damaged: .*begin anew"):
        export_checkpoint(folder, tmp_path / "bundle", force=False)


def test_what_a_resumed_training_may_be_told_anew(
    checkpoint: Path, trained: Path, train_csv: Path, test_csv: Path, tmp_path: Path
) -> None:
    """Names and terms; but no search for another network."""
    folder = Path(shutil.copytree(checkpoint, tmp_path / "checkpoint"))
    resumed = [
        "train",
        train_csv,
        "--test",
        test_csv,
        "--checkpoint",
        folder,
        "--resume",
        *TRAIN_OPTIONS,
    ]
    searched = heed(*resumed, "--out", tmp_path / "tuned", "--tune", 0.1, check=False)
    assert "was begun without --tune" in searched.stderr
    named = ["--name", "other", "--version", "2.0.0", "--terms", "CC0"]
    heed(*resumed, "--out", tmp_path / "named", *named)
    heed(*resumed, "--out", tmp_path / "again")
    first, bundle, again = (
        Bundle.load(path) for path in (trained, tmp_path / "named", tmp_path / "again")
    )
    assert first.model == bundle.model == again.model
    terms = [config.training["terms"] for config in (bundle.config, again.config)]
    assert terms == ["CC0", first.config.training["terms"]]  # which `TRAIN_OPTIONS` names
    for config in (bundle.config, again.config):
        assert (config.name, config.version) == ("other", "2.0.0")
        assert config.training["data"] == first.config.training["data"]


def test_a_checkpoint_of_another_version_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / METADATA).write_text('{"format": 1, "network": {"pooling_heads": 1}}')
    with pytest.raises(DataError, match="of another version of Heed"):
        Checkpoint(tmp_path).job()
    with pytest.raises(DataError, match="use it with that version, or train anew"):
        export_checkpoint(tmp_path, tmp_path / "bundle", force=False)


def test_another_seed_gives_other_tensors(dataset: Dataset) -> None:
    one, same, other = (
        train_network(NETWORK, replace(CONFIG, seed=seed), dataset, dataset) for seed in (4, 4, 5)
    )
    assert torch.equal(one.head.weight, same.head.weight)
    assert not torch.equal(one.head.weight, other.head.weight)
