"""`heed train --teacher` on a tiny encoder, with a threshold, resumed at several points."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from heed.model.inference.bundle import Bundle
from heed.model.inference.classifier import OnnxClassifier
from heed.model.metrics.threshold import describe_threshold
from heed.model.training.checkpoint import STATE, TEACHER, Checkpoint
from heed.model.training.distillation_targets import TokenTargets
from tests.support.command import heed
from tests.support.texts import reviews, write_csv

pytestmark = pytest.mark.slow

SMALL = ("--width", 16, "--heads", 2, "--epochs", 4)
OUT_OF_SCOPE = [
    "what time is it", "add milk to my list", "turn the lights off", "call me a taxi now"
]  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("distilled")
    write_csv(folder / "train.csv", reviews(240, seed=1))
    dev = reviews(60, seed=8)
    write_csv(folder / "dev.csv", dev[:40])
    write_csv(folder / "more_dev.csv", dev[40:])
    unlabelled = [(text, "") for text, _ in reviews(50, seed=9)]
    # Two of these 50 texts, and all of the nine added below, are also in dev.
    write_csv(folder / "unlabelled.csv", unlabelled + reviews(9, seed=8))
    write_csv(folder / "out_of_scope.csv", [(text, "none") for text in OUT_OF_SCOPE])
    return folder


@pytest.fixture(scope="module")
def arguments(files: Path, bert: Path) -> list[object]:
    return [
        *("train", files / "train.csv", "--out", files / "bundle"),
        *("--dev", files / "dev.csv", "--dev", files / "more_dev.csv"),
        *("--teacher", bert, "--unlabelled", files / "unlabelled.csv"),
        *("--out-of-scope", files / "out_of_scope.csv"),
        *("--checkpoint", files / "checkpoint", *SMALL),
    ]


@pytest.fixture(scope="module")
def distilled(files: Path, arguments: list[object]) -> Path:
    done = heed(*arguments, "--target-precision", 0.9)
    assert "teacher epoch 1/" in done.stderr
    assert "the teacher labels 7,302 texts" in done.stderr
    assert describe_threshold(Bundle.load(files / "bundle").config) in done.stdout
    return files / "bundle"


def test_the_config_describes_the_teacher(distilled: Path, files: Path, bert: Path) -> None:
    config = Bundle.load(distilled).config
    teacher = config.training["teacher"]
    assert teacher["name"] == bert.name
    assert (teacher["unlabelled"], teacher["augmented"]) == (48, 7020)
    assert config.scores["dev"]["accuracy"] > 0.8
    assert config.network["token_targets"] == 64
    outputs = Checkpoint(files / "checkpoint").teacher_outputs()
    assert outputs is not None
    assert outputs.logits.shape == (7302, 2)
    assert outputs.dev_accuracy == teacher["dev_accuracy"]


def test_the_threshold_gives_the_target_precision_on_dev(distilled: Path) -> None:
    bundle = Bundle.load(distilled)
    config, dev = bundle.config, bundle.config.scores["dev"]
    assert config.min_confidence is not None
    assert dev["min_confidence"] == config.min_confidence
    assert dev["precision"] >= 0.9
    predictions = OnnxClassifier(bundle).predict(OUT_OF_SCOPE, "none")
    rejected = [max(each.probabilities) < config.min_confidence for each in predictions]
    assert dev["out_of_scope_refused"] == np.mean(rejected)


def test_a_training_killed_while_labelling_resumes_to_the_same_bundle(
    distilled: Path, files: Path, arguments: list[object]
) -> None:
    whole, folder = Bundle.load(distilled), files / "checkpoint"
    fine_tuned_at = (folder / TEACHER).stat().st_mtime_ns
    outputs = Checkpoint(folder).teacher_outputs()
    assert outputs is not None
    starts = outputs.token_targets.starts[:2049]
    token_targets = TokenTargets(outputs.token_targets.values[: starts[-1]], starts)
    Checkpoint(folder).save_teacher_outputs(
        replace(outputs, logits=outputs.logits[:2048], token_targets=token_targets)
    )
    (folder / STATE).unlink()
    heed(*arguments, "--target-precision", 0.9, "--resume", "--force")
    assert Bundle.load(distilled).model == whole.model
    assert Bundle.load(distilled).config.min_confidence == whole.config.min_confidence
    assert (folder / TEACHER).stat().st_mtime_ns == fine_tuned_at

    export = heed("export", folder, "--out", files / "exported")
    assert describe_threshold(whole.config) in export.stdout
    assert Bundle.load(files / "exported").config.min_confidence == whole.config.min_confidence


def test_a_finished_training_may_get_another_threshold(
    distilled: Path, files: Path, arguments: list[object]
) -> None:
    whole = Bundle.load(distilled)
    shutil.copytree(files / "checkpoint", files / "again")
    other = [files / "again" if each == files / "checkpoint" else each for each in arguments]
    heed(*other, "--resume", "--force")
    bundle = Bundle.load(distilled)
    assert bundle.model == whole.model
    dev = bundle.config.scores["dev"]
    assert dev["coverage"] >= dev["accuracy"] - 0.01
    assert bundle.config.training["abstaining"]["target_precision"] is None
