"""A tiny encoder is fine-tuned and teaches, with a threshold chosen at the end."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from heed.model.commands.options import TrainOptions
from heed.model.data.labelled import LabelledTexts, label_ids
from heed.model.distill.encoder import read_encoder
from heed.model.distill.label import TextLabeller, distill
from heed.model.distill.teacher import Teacher, fine_tuning_config
from heed.model.errors import DataError
from heed.model.inference.bundle import Bundle
from heed.model.inference.classifier import OnnxClassifier
from heed.model.metrics.threshold import describe_threshold
from heed.model.text.tokenizer import Tokenizer
from heed.model.training.checkpoint import STATE, TEACHER, Checkpoint
from heed.model.training.distillation_targets import OWN_LABEL_SHARE, TEMPERATURE, TeacherOutputs
from heed.model.training.token_targets import StateProjection, TokenTargets
from tests.support import encoders
from tests.support.command import heed
from tests.support.texts import reviews, write_csv

SMALL = ("--width", 16, "--heads", 2, "--epochs", 4)
OUTSIDE = ["what time is it", "add milk to my list", "turn the lights off", "call me a taxi now"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("taught")
    write_csv(folder / "train.csv", reviews(240, seed=1))
    dev = reviews(60, seed=8)
    write_csv(folder / "dev.csv", dev[:40])
    write_csv(folder / "more_dev.csv", dev[40:])
    more = [(text, "") for text, _ in reviews(50, seed=9)]
    write_csv(folder / "more.csv", more + reviews(9, seed=8))  # 2 and the last 9 stand in dev
    write_csv(folder / "outside.csv", [(text, "none") for text in OUTSIDE])
    return folder


@pytest.fixture(scope="module")
def arguments(files: Path, bert: Path) -> list[object]:
    return [
        *("train", files / "train.csv", "--out", files / "bundle"),
        *("--dev", files / "dev.csv", "--dev", files / "more_dev.csv"),
        *("--teacher", bert, "--unlabelled", files / "more.csv"),
        *("--out-of-scope", files / "outside.csv"),
        *("--checkpoint", files / "checkpoint", *SMALL),
    ]


@pytest.fixture(scope="module")
def taught(files: Path, arguments: list[object]) -> Path:
    done = heed(*arguments, "--target-precision", 0.9)
    assert "teacher epoch 1/" in done.stderr
    assert "the teacher labels 7,302 texts" in done.stderr
    assert describe_threshold(Bundle.load(files / "bundle").config) in done.stdout
    return files / "bundle"


def test_a_taught_bundle(taught: Path, files: Path, bert: Path) -> None:
    config = Bundle.load(taught).config
    teacher = config.training["teacher"]
    assert teacher["name"] == bert.name
    assert (teacher["unlabelled"], teacher["augmented"]) == (48, 7020)
    assert config.scores["dev"]["accuracy"] > 0.8
    card = (taught / "README.md").read_text("utf-8")
    assert f"The teacher is {bert.name}, fine-tuned on the training rows to a dev accuracy" in card
    assert "48 texts without labels and 7,020 texts made from the training rows" in card
    assert config.network["token_targets"] == 64
    teacher_outputs = Checkpoint(files / "checkpoint").teacher_outputs()
    assert teacher_outputs is not None
    assert teacher_outputs.logits.shape == (7302, 2)
    assert teacher_outputs.accuracy == teacher["dev_accuracy"]


def test_the_threshold_is_that_of_the_card(taught: Path) -> None:
    bundle = Bundle.load(taught)
    config, dev = bundle.config, bundle.config.scores["dev"]
    assert config.min_confidence is not None
    assert dev["min_confidence"] == config.min_confidence
    assert dev["precision"] >= 0.9
    outside = OnnxClassifier(bundle).predict(OUTSIDE, "none")
    refused = [max(one.probabilities) < config.min_confidence for one in outside]
    assert dev["out_of_scope_refused"] == np.mean(refused)
    card = (taught / "README.md").read_text("utf-8")
    assert describe_threshold(config) in card
    assert "of 4 such texts" in card


def test_killed_anywhere_it_ends_the_same(
    taught: Path, files: Path, arguments: list[object]
) -> None:
    """Once while the teacher labelled, and once before the network's first save."""
    whole, folder = Bundle.load(taught), files / "checkpoint"
    made = (folder / TEACHER).stat().st_mtime_ns
    teacher_outputs = Checkpoint(folder).teacher_outputs() or pytest.fail("no lessons")
    starts = teacher_outputs.token_targets.starts[:2049]
    token_targets = TokenTargets(teacher_outputs.token_targets.numbers[: starts[-1]], starts)
    Checkpoint(folder).save_lessons(
        replace(teacher_outputs, logits=teacher_outputs.logits[:2048], token_targets=token_targets)
    )
    (folder / STATE).unlink()
    heed(*arguments, "--target-precision", 0.9, "--resume", "--force")
    assert Bundle.load(taught).model == whole.model
    assert Bundle.load(taught).config.min_confidence == whole.config.min_confidence
    assert (folder / TEACHER).stat().st_mtime_ns == made

    export = heed("export", folder, "--out", files / "exported")
    assert describe_threshold(whole.config) in export.stdout
    assert Bundle.load(files / "exported").config.min_confidence == whole.config.min_confidence


def test_another_threshold_of_a_finished_training(
    taught: Path, files: Path, arguments: list[object]
) -> None:
    whole = Bundle.load(taught)
    shutil.copytree(files / "checkpoint", files / "again")
    other = [files / "again" if one == files / "checkpoint" else one for one in arguments]
    heed(*other, "--resume", "--force")
    bundle = Bundle.load(taught)
    assert bundle.model == whole.model
    dev = bundle.config.scores["dev"]
    assert dev["coverage"] >= dev["accuracy"] - 0.01
    assert bundle.config.training["abstaining"]["target_precision"] is None


def test_padded_is_unpadded_and_any_id_may_be_a_token(tmp_path: Path) -> None:
    """The encoder has another token than padding at id 0."""
    encoder = read_encoder(str(encoders.roberta(tmp_path)), "--teacher")
    torch.manual_seed(0)
    teacher = Teacher(encoder, 3).eval()
    teacher.halved = False
    short, long = (
        torch.tensor([encoder.tokenizer(text)["input_ids"]]) + 1
        for text in ("A warm film", "The hotel was dreadful, and I will say so to anyone.")
    )
    alone = [teacher(ids).logits for ids in (short, long)]
    padded = torch.nn.functional.pad(short, (0, long.shape[1] - short.shape[1]))
    together = teacher(torch.cat([padded, long])).logits
    assert torch.allclose(together, torch.cat(alone), atol=1e-5)
    states = encoder.network(input_ids=short - 1, attention_mask=torch.ones_like(short))
    mean = states.last_hidden_state.mean(dim=1)
    assert torch.allclose(alone[0], teacher.head(mean), atol=1e-5)
    teacher.halved = True  # also where the processor has no units for it
    assert torch.allclose(alone[0], teacher(short).logits, atol=0.02)


def test_targets_are_what_the_teacher_and_the_labels_say() -> None:
    logits = np.array([[4, 0, 0], [0, 2, 1], [1, 1, 3]], dtype=np.float16)
    none = TokenTargets(np.zeros((0, 2), dtype=np.int8), np.zeros(4, dtype=np.int64))
    soft = TeacherOutputs(logits, none, StateProjection(torch.zeros(3), torch.zeros(3, 2)), 1.0)
    own = np.array([1, 1])
    targets = soft.targets(own).astype(float)
    assert soft.labels(own).tolist() == [1, 1, 2]
    assert targets.sum(axis=1) == pytest.approx(1, abs=2e-3)
    said = np.exp(logits.astype(float) / TEMPERATURE)
    said /= said.sum(axis=1, keepdims=True)
    assert targets[2] == pytest.approx(said[2], abs=1e-3)
    assert targets[0] == pytest.approx(
        (1 - OWN_LABEL_SHARE) * said[0] + OWN_LABEL_SHARE * np.eye(3)[1], abs=1e-3
    )


def test_what_does_not_fit_together(tmp_path: Path, files: Path, bert: Path) -> None:
    with pytest.raises(DataError, match="--unlabelled needs --teacher"):
        TrainOptions((files / "train.csv",), tmp_path, unlabelled=files / "more.csv")
    done = heed(
        *("train", files / "train.csv", "--out", tmp_path / "out", "--teacher", bert),
        *("--unlabelled", files / "more.csv", "--text-column", "words"),
        check=False,
    )
    assert done.returncode == 2
    assert "no column 'words'" in done.stderr


def test_the_teachers_plan_follows_the_data() -> None:
    assert (fine_tuning_config(100, 2, 0).batch, fine_tuning_config(100, 2, 0).epochs) == (16, 20)
    assert fine_tuning_config(67_349, 2, 0).epochs == 2
    assert fine_tuning_config(15_000, 150, 0).epochs == 6


def test_a_row_that_it_cannot_read_whole_keeps_its_own_label(bert: Path) -> None:
    short, long = reviews(12, seed=1), [(text * 60, label) for text, label in reviews(4, seed=2)]
    texts, truth = zip(*short, *long, strict=True)
    rows = LabelledTexts(Path("rows.csv"), list(texts), list(truth), list(range(1, 17)))
    labels = ["negative", "positive"]
    tokenizer = Tokenizer.fit(texts, 300)
    soft = distill(
        str(bert), rows, rows.take(range(12)), labels, [long[0][0]], tokenizer,
        seed=0, checkpoint=None, note=lambda _: None,
    )  # fmt: skip
    own = label_ids(rows, labels)
    targets = soft.targets(own)
    assert (targets[12:16, :].argmax(axis=1) == own[12:]).all()
    assert targets[12:16].max(axis=1).min() > 0.999
    assert targets[:12].max(axis=1).max() < 0.999
    assert targets[16].max() < 0.999  # has no label of its own
    counts = np.diff(soft.token_targets.starts)
    assert (counts[12:16] == 0).all()
    assert counts[:12].tolist() == [len(tokenizer.ids(text)) for text in texts[:12]]
    assert 0 < counts[16] < len(tokenizer.ids(texts[12]))
    assert soft.token_targets.numbers.astype(float).std() > 5


def test_where_no_row_can_be_read_whole_the_rest_is_labelled(bert: Path) -> None:
    """Also what was said of the rows alone can be kept."""
    texts, truth = zip(*[(text * 60, label) for text, label in reviews(6, seed=2)], strict=True)
    rows = LabelledTexts(Path("rows.csv"), list(texts), list(truth), list(range(6)))
    labels = ["negative", "positive"]
    encoder = read_encoder(str(bert), "--teacher")
    torch.manual_seed(0)
    reduction = StateProjection.fit(torch.randn(200, encoder.width))
    labelling = TextLabeller(
        Teacher(encoder, 2),
        encoder,
        Tokenizer.fit(texts, 300),
        TeacherOutputs.none(2, reduction, 0.5),
    )
    labelling.go_on(list(texts), label_ids(rows, labels), np.zeros(6, dtype=bool))
    teacher_outputs = labelling.teacher_outputs()
    assert teacher_outputs.token_targets.starts.tolist() == [0] * 7
    assert (
        teacher_outputs.labels(label_ids(rows, labels)).tolist() == label_ids(rows, labels).tolist()
    )
    labelling.go_on(["a film"], np.zeros(0, dtype=int), np.zeros(0, dtype=bool))
    assert labelling.teacher_outputs().token_targets.numbers.shape[0] > 0
