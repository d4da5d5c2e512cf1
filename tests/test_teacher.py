"""A tiny encoder is fine-tuned and teaches, with a threshold chosen at the end."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.abstain import in_words
from model.bundle import Bundle
from model.checkpoint import STATE, TEACHER, Checkpoint
from model.classifier import Classifier
from model.data import Labelled, label_ids
from model.encoder import read_encoder
from model.errors import DataError
from model.hints import Hints, Reduction
from model.labelling import Labelling, teach
from model.lessons import TEMPERATURE, TRUTH, Lessons
from model.order import Order
from model.teacher import Teacher, teacher_plan
from model.tokenizer import Tokenizer
from tests import encoders
from tests.command import heed
from tests.texts import reviews, write_csv

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
    assert in_words(Bundle.load(files / "bundle").config) in done.stdout
    return files / "bundle"


def test_a_taught_bundle(taught: Path, files: Path, bert: Path) -> None:
    config = Bundle.load(taught).config
    teacher = config.training["teacher"]
    assert teacher["name"] == bert.name
    assert (teacher["unlabelled"], teacher["augmented"]) == (48, 7020)
    assert config.scores["dev"]["accuracy"] > 0.8
    card = (taught / "README.md").read_text("utf-8")
    assert f"It was taught by {bert.name}, fine-tuned on the training rows to an accuracy" in card
    assert "48 texts without labels and 7,020 texts made of the training rows" in card
    assert config.network["hints"] == 64
    lessons = Checkpoint(files / "checkpoint").lessons()
    assert lessons is not None
    assert lessons.logits.shape == (7302, 2)
    assert lessons.accuracy == teacher["dev_accuracy"]


def test_the_threshold_is_that_of_the_card(taught: Path) -> None:
    bundle = Bundle.load(taught)
    config, dev = bundle.config, bundle.config.scores["dev"]
    assert config.min_confidence is not None
    assert dev["min_confidence"] == config.min_confidence
    assert dev["precision"] >= 0.9
    outside = Classifier(bundle).predict(OUTSIDE, "none")
    refused = [max(one.probabilities) < config.min_confidence for one in outside]
    assert dev["out_of_scope_refused"] == np.mean(refused)
    card = (taught / "README.md").read_text("utf-8")
    assert in_words(config) in card
    assert "of 4 such texts" in card


def test_killed_anywhere_it_ends_the_same(
    taught: Path, files: Path, arguments: list[object]
) -> None:
    """Once while the teacher labelled, and once before the network's first save."""
    whole, folder = Bundle.load(taught), files / "checkpoint"
    made = (folder / TEACHER).stat().st_mtime_ns
    lessons = Checkpoint(folder).lessons() or pytest.fail("no lessons")
    starts = lessons.hints.starts[:2049]
    hints = Hints(lessons.hints.numbers[: starts[-1]], starts)
    Checkpoint(folder).save_lessons(replace(lessons, logits=lessons.logits[:2048], hints=hints))
    (folder / STATE).unlink()
    heed(*arguments, "--target-precision", 0.9, "--resume", "--force")
    assert Bundle.load(taught).model == whole.model
    assert Bundle.load(taught).config.min_confidence == whole.config.min_confidence
    assert (folder / TEACHER).stat().st_mtime_ns == made

    export = heed("export", folder, "--out", files / "exported")
    assert in_words(whole.config) in export.stdout
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
    none = Hints(np.zeros((0, 2), dtype=np.int8), np.zeros(4, dtype=np.int64))
    soft = Lessons(logits, none, Reduction(torch.zeros(3), torch.zeros(3, 2)), 1.0)
    own = np.array([1, 1])
    targets = soft.targets(own).astype(float)
    assert soft.labels(own).tolist() == [1, 1, 2]
    assert targets.sum(axis=1) == pytest.approx(1, abs=2e-3)
    said = np.exp(logits.astype(float) / TEMPERATURE)
    said /= said.sum(axis=1, keepdims=True)
    assert targets[2] == pytest.approx(said[2], abs=1e-3)
    assert targets[0] == pytest.approx((1 - TRUTH) * said[0] + TRUTH * np.eye(3)[1], abs=1e-3)


def test_what_does_not_fit_together(tmp_path: Path, files: Path, bert: Path) -> None:
    with pytest.raises(DataError, match="--unlabelled needs --teacher"):
        Order((files / "train.csv",), tmp_path, unlabelled=files / "more.csv")
    done = heed(
        *("train", files / "train.csv", "--out", tmp_path / "out", "--teacher", bert),
        *("--unlabelled", files / "more.csv", "--text-column", "words"),
        check=False,
    )
    assert done.returncode == 2
    assert "no column 'words'" in done.stderr


def test_the_teachers_plan_follows_the_data() -> None:
    assert (teacher_plan(100, 2, 0).batch, teacher_plan(100, 2, 0).epochs) == (16, 20)
    assert teacher_plan(67_349, 2, 0).epochs == 2
    assert teacher_plan(15_000, 150, 0).epochs == 6


def test_a_row_that_it_cannot_read_whole_keeps_its_own_label(bert: Path) -> None:
    short, long = reviews(12, seed=1), [(text * 60, label) for text, label in reviews(4, seed=2)]
    texts, truth = zip(*short, *long, strict=True)
    rows = Labelled(Path("rows.csv"), list(texts), list(truth), list(range(1, 17)))
    labels = ["negative", "positive"]
    tokenizer = Tokenizer.fit(texts, 300)
    soft = teach(
        str(bert), rows, rows.take(range(12)), labels, [long[0][0]], tokenizer,
        seed=0, checkpoint=None, note=lambda _: None,
    )  # fmt: skip
    own = label_ids(rows, labels)
    targets = soft.targets(own)
    assert (targets[12:16, :].argmax(axis=1) == own[12:]).all()
    assert targets[12:16].max(axis=1).min() > 0.999
    assert targets[:12].max(axis=1).max() < 0.999
    assert targets[16].max() < 0.999  # has no label of its own
    counts = np.diff(soft.hints.starts)
    assert (counts[12:16] == 0).all()
    assert counts[:12].tolist() == [len(tokenizer.ids(text)) for text in texts[:12]]
    assert 0 < counts[16] < len(tokenizer.ids(texts[12]))
    assert soft.hints.numbers.astype(float).std() > 5


def test_where_no_row_can_be_read_whole_the_rest_is_labelled(bert: Path) -> None:
    """Also what was said of the rows alone can be kept."""
    texts, truth = zip(*[(text * 60, label) for text, label in reviews(6, seed=2)], strict=True)
    rows = Labelled(Path("rows.csv"), list(texts), list(truth), list(range(6)))
    labels = ["negative", "positive"]
    encoder = read_encoder(str(bert), "--teacher")
    torch.manual_seed(0)
    reduction = Reduction.fit(torch.randn(200, encoder.width))
    labelling = Labelling(
        Teacher(encoder, 2), encoder, Tokenizer.fit(texts, 300), Lessons.none(2, reduction, 0.5)
    )
    labelling.go_on(list(texts), label_ids(rows, labels), np.zeros(6, dtype=bool))
    lessons = labelling.lessons()
    assert lessons.hints.starts.tolist() == [0] * 7
    assert lessons.labels(label_ids(rows, labels)).tolist() == label_ids(rows, labels).tolist()
    labelling.go_on(["a film"], np.zeros(0, dtype=int), np.zeros(0, dtype=bool))
    assert labelling.lessons().hints.numbers.shape[0] > 0
