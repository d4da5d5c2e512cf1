"""`heed train` and `heed export` from the data files to the bundle."""

import csv
import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from heed.model.commands.train import export_checkpoint
from heed.model.data.labelled import read_labelled
from heed.model.errors import DataError
from heed.model.inference.bundle import Bundle
from heed.model.inference.classifier import OnnxClassifier
from heed.model.training.checkpoint import METADATA, STATE, TOKENIZER, Checkpoint
from heed.model.training.ngram_fitting import MAX_LABELS
from tests.conftest import TRAIN_OPTIONS
from tests.support.command import ROOT, heed
from tests.support.texts import reviews, write_csv

SMALL = ("--width", 16, "--heads", 2, "--epochs", 2)


def test_the_config_describes_the_training(trained: Path, test_csv: Path) -> None:
    bundle = Bundle.load(trained)
    config = bundle.config
    assert config.labels == ["negative", "positive"]
    assert config.name == "reviews"
    # 18 rows of the training file are also in the test file: left out of train and dev.
    assert config.training["rows"] == {"train": 300 - 18 - 56, "dev": 56, "test": 80}
    assert any("left out because" in note for note in config.training["notes"])
    assert config.training["terms"] == "made for the tests"
    assert config.training["command"].startswith("heed train ")
    assert config.training["init_embeddings"] == "all-MiniLM-L6-v2"
    assert config.network["width"] == 32
    assert {"torch", "onnxruntime", "tokenizers"} <= set(config.tools)
    assert config.scores["test"]["accuracy"] > 0.9
    rows = read_labelled(test_csv)
    predictions = OnnxClassifier(bundle).predict(rows.texts, "none")
    correct = [
        config.labels[int(np.argmax(prediction.probabilities))] == label
        for prediction, label in zip(predictions, rows.labels, strict=True)
    ]
    assert np.mean(correct) == config.scores["test"]["accuracy"]


def test_rare_labels_integer_labels_other_columns_and_curves(tmp_path: Path) -> None:
    rows = [(text, "1" if label == "positive" else "0") for text, label in reviews(120, 3)]
    rows = [row for n, row in enumerate(rows) if row[1] == "0" or n % 8 == 1]
    rows.append(("The only one of its kind", "2"))
    with (tmp_path / "rare.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("kind", "words"), *((label, text) for text, label in rows)])
    test = [{"words": text, "kind": int(label)} for text, label in rows[:5]]
    (tmp_path / "test.jsonl").write_text("\n".join(map(json.dumps, test)))
    done = heed(
        *("train", tmp_path / "rare.csv", "--out", tmp_path / "rare", *SMALL, "--blocks", 0),
        *("--text-column", "words", "--label-column", "kind", "--max-tokens", 1),
        *("--test", tmp_path / "test.jsonl", "--logdir", tmp_path / "curves"),
    )
    assert "Texts of test.jsonl that are also in rare.csv: 5 of 5." in done.stderr
    assert "epoch 2/2" in done.stderr
    config = Bundle.load(tmp_path / "rare").config
    assert config.labels == ["0", "1", "2"]
    assert config.max_tokens == 1
    assert config.network["blocks"] == 0
    assert config.training["notes"]
    assert list((tmp_path / "curves").glob("events*"))


def test_random_embeddings_on_request(train_csv: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    heed("train", train_csv, "--out", out, "--init-embeddings", "none", *SMALL)
    config = Bundle.load(out).config
    assert "init_embeddings" not in config.training
    assert config.network["vocabulary"] < 1000


@pytest.mark.slow
@pytest.mark.parametrize(("labels", "models"), [(600, 2), (MAX_LABELS + 1, 1)])
def test_with_very_many_labels_there_is_no_ngram_model(
    tmp_path: Path, labels: int, models: int
) -> None:
    rows = [(f"word{n % 70} thing{n // 70} more{k}", f"{n}") for n in range(labels) for k in "abc"]
    data = write_csv(tmp_path / "many.csv", rows)
    done = heed("train", data, "--out", tmp_path / "many", *SMALL[:4], "--epochs", 1)
    assert "Warning" not in done.stderr
    bundle = Bundle.load(tmp_path / "many")
    mixture = bundle.config.training["mixture"]
    assert sum(weight > 0 for weight in mixture["network"] + mixture["ngrams"]) == models
    assert bundle.config.scores["dev"]["n"] == labels


@pytest.mark.slow
def test_a_search_is_reported_and_not_repeated_on_resume(train_csv: Path, tmp_path: Path) -> None:
    arguments = ["train", train_csv, "--out", tmp_path / "bundle", "--checkpoint", tmp_path / "c"]
    arguments += ["--epochs", 1, "--width", 16, "--heads", 2, "--tune", 0.05]
    done = heed(*arguments)
    tuned = Bundle.load(tmp_path / "bundle").config.training["tuned"]
    assert done.stderr.count("cross-entropy") == tuned["trials"] >= 1
    assert not {"epochs", "width", "heads"} & tuned["changed"].keys()
    again = heed(*arguments, "--resume", "--force")
    assert "cross-entropy" not in again.stderr
    assert Bundle.load(tmp_path / "bundle").config.training["tuned"] == tuned


@pytest.mark.slow
def test_a_killed_and_resumed_training_gives_the_same_bundle(
    tmp_path: Path, train_csv: Path, test_csv: Path, trained: Path
) -> None:
    folder, out = tmp_path / "checkpoint", tmp_path / "reviews"
    arguments = [
        *("train", train_csv, "--out", out, "--test", test_csv, "--checkpoint", folder),
        *TRAIN_OPTIONS,
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "heed", *map(str, arguments)], cwd=ROOT, stderr=subprocess.DEVNULL
    )
    start = time.monotonic()
    while not (folder / STATE).exists():
        assert process.poll() is None
        assert time.monotonic() - start < 120
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not out.exists()

    without_resume = heed(*arguments, check=False)
    assert without_resume.returncode == 2
    assert "add --resume" in without_resume.stderr

    heed(*arguments, "--resume")
    whole, resumed = Bundle.load(trained), Bundle.load(out)
    assert resumed.model == whole.model
    assert resumed.tokenizer.to_json() == whole.tokenizer.to_json()
    assert resumed.config.temperature == whole.config.temperature
    assert resumed.config.scores == whole.config.scores


def test_a_finished_training_resumes_with_other_names_but_without_a_search(
    checkpoint: Path, trained: Path, train_csv: Path, test_csv: Path, tmp_path: Path
) -> None:
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
    assert "was started without --tune" in searched.stderr
    heed(*resumed, "--out", tmp_path / "named", "--name", "other", "--version", "2.0.0")
    first, named = Bundle.load(trained), Bundle.load(tmp_path / "named")
    assert first.model == named.model
    assert (named.config.name, named.config.version) == ("other", "2.0.0")
    assert named.config.training["data"] == first.config.training["data"]


def test_export_writes_the_same_bundle(trained: Path, checkpoint: Path, tmp_path: Path) -> None:
    heed("export", checkpoint, "--out", tmp_path / "again")
    first, again = Bundle.load(trained), Bundle.load(tmp_path / "again")
    assert again.model == first.model
    assert again.config.temperature == first.config.temperature
    assert again.config.scores["dev"] == first.config.scores["dev"]
    with pytest.raises(DataError, match="no checkpoint there"):
        export_checkpoint(tmp_path / "none", tmp_path / "x", force=False)
    with pytest.raises(DataError, match="--force"):
        export_checkpoint(checkpoint, tmp_path / "again", force=False)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (METADATA, "", "metadata.json: damaged: Expecting value"),
        (TOKENIZER, "", "tokenizer.json: damaged: "),
        (STATE, None, "state.safetensors: cannot be read: Is a directory"),
    ],
)
def test_a_damaged_checkpoint_is_one_line(
    checkpoint: Path, trained: Path, tmp_path: Path, name: str, content: str | None, message: str
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
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_weights_that_do_not_fit_the_metadata_are_an_error(
    checkpoint: Path, trained: Path, tmp_path: Path
) -> None:
    assert trained.exists()
    folder = Path(shutil.copytree(checkpoint, tmp_path / "checkpoint"))
    metadata = Checkpoint(folder).metadata()
    wider = replace(metadata.network, width=2 * metadata.network.width)
    Checkpoint(folder).save_metadata(replace(metadata, network=wider))
    with pytest.raises(DataError, match=r"state\.safetensors: damaged: .*start again"):
        export_checkpoint(folder, tmp_path / "bundle", force=False)
