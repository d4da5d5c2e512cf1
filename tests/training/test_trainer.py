"""Training through the command line, and the parts that it is made of."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from heed.model.data.labelled import read_labelled
from heed.model.errors import DataError
from heed.model.inference.bundle import Bundle
from heed.model.inference.classifier import OnnxClassifier, softmax
from heed.model.metrics.calibration import fit_temperature
from heed.model.metrics.classification import score_predictions
from heed.model.nn.network import Network
from heed.model.text.tokenizer import Tokenizer
from heed.model.training.config import TrainConfig, class_weights, derive_config, dev_fraction
from heed.model.training.dataset import (
    Dataset,
    compact_rows,
    sample_kept_tokens,
    token_dropout_probabilities,
    tokenize_texts,
)
from heed.model.training.fit_ngrams import MAX_LABELS
from heed.model.training.trainer import learning_rate, score_dev
from tests.support.command import heed
from tests.support.texts import reviews, write_csv

SMALL = ("--width", 16, "--heads", 2, "--epochs", 2)


def test_a_trained_bundle(trained: Path, test_csv: Path) -> None:
    bundle = Bundle.load(trained)
    config = bundle.config
    assert config.labels == ["negative", "positive"]
    assert config.name == "reviews"
    # 18 rows of the training file stand in the test file, and are neither learnt nor dev.
    assert config.training["rows"] == {"train": 300 - 18 - 56, "dev": 56, "test": 80}
    assert any("left out, because" in note for note in config.training["notes"])
    assert config.training["terms"] == "made for the tests"
    assert config.training["command"].startswith("heed train ")
    assert config.network["width"] == 32
    assert {"torch", "onnxruntime", "tokenizers"} <= set(config.tools)
    assert config.scores["test"]["accuracy"] > 0.9
    rows = read_labelled(test_csv)
    found = OnnxClassifier(bundle).predict(rows.texts, "none")
    right = [
        config.labels[int(np.argmax(one.probabilities))] == label
        for one, label in zip(found, rows.labels, strict=True)
    ]
    assert np.mean(right) == config.scores["test"]["accuracy"]


def test_the_card_tells_data_terms_command_and_figures(trained: Path) -> None:
    card = (trained / "README.md").read_text("utf-8")
    config = Bundle.load(trained).config
    assert card.startswith("---\nlibrary_name:")
    assert "Terms: made for the tests." in card
    assert config.training["command"] in card
    assert f"| test | 80 | {config.scores['test']['accuracy']:.4f} |" in card
    assert "{" not in card.replace("{}", "")


def refused(*arguments: object) -> str:
    """What a training says that must end with status 2."""
    done = heed("train", *arguments, check=False)
    assert done.returncode == 2
    line = done.stderr.splitlines()[-1]
    assert line.startswith("heed: ")
    return line


def test_what_train_refuses(tmp_path: Path, train_csv: Path, trained: Path) -> None:
    out = ("--out", tmp_path / "out")
    one = write_csv(tmp_path / "one.csv", [("a film", "x"), ("a book", "x")])
    assert "every row has the label 'x'" in refused(one, *out)
    dev = write_csv(tmp_path / "dev.csv", [("a film", "positive"), ("a book", "neutral")])
    assert "dev.csv, row 3: unknown label 'neutral'" in refused(train_csv, "--dev", dev, *out)
    assert "test.csv: no such file" in refused(train_csv, "--test", tmp_path / "test.csv", *out)
    blank = write_csv(tmp_path / "blank.csv", [*reviews(20, 0), ("\u200d", "positive")])
    assert "blank.csv, row 22: the text has nothing to read" in refused(blank, *out)
    assert "--force" in refused(train_csv, "--out", trained)
    assert "multiple of --heads 3" in refused(train_csv, *out, "--width", 32, "--heads", 3)
    assert "--blocks" in refused(train_csv, *out, "--blocks", -1)
    assert "--resume needs --checkpoint" in refused(train_csv, *out, "--resume")
    assert "cannot be a bundle's name" in refused(train_csv, *out, "--name", "a b")
    assert not (tmp_path / "out").exists()


def test_unbalanced_labels_text_labels_columns_and_curves(tmp_path: Path) -> None:
    """One run that takes the rarer ways: ints as labels, no block, a row in test and train."""
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
    assert "Texts of test.jsonl that stand in rare.csv, too: 5 of 5." in done.stderr
    assert "epoch 2/2" in done.stderr
    config = Bundle.load(tmp_path / "rare").config
    assert config.labels == ["0", "1", "2"]
    assert config.max_tokens == 1
    assert config.training["notes"]
    assert list((tmp_path / "curves").glob("events*"))


@pytest.mark.parametrize(("labels", "halves"), [(600, 2), (MAX_LABELS + 1, 1)])
def test_many_labels(tmp_path: Path, labels: int, halves: int) -> None:
    """Beyond a number of them the network stands alone; up to it nothing warns."""
    rows = [(f"word{n % 70} thing{n // 70} more{k}", f"{n}") for n in range(labels) for k in "abc"]
    data = write_csv(tmp_path / "many.csv", rows)
    told = heed("train", data, "--out", tmp_path / "many", *SMALL[:4], "--epochs", 1).stderr
    assert "Warning" not in told
    bundle = Bundle.load(tmp_path / "many")
    mixture = bundle.config.training["mixture"]
    assert sum(part > 0 for part in mixture["network"] + mixture["ngrams"]) == halves
    assert bundle.config.scores["dev"]["n"] == labels


def test_class_weights() -> None:
    assert class_weights([20, 10], class_weight_ratio=3) is None
    weights = class_weights([90, 10], class_weight_ratio=3)
    assert weights is not None
    assert weights[1] / weights[0] == pytest.approx(3)
    assert 0.9 * weights[0] + 0.1 * weights[1] == pytest.approx(1)


def test_the_plan_follows_the_data() -> None:
    few, many = (
        derive_config([9] * 200, 2, vocabulary=1000),
        derive_config([300] * 70_000, 2, vocabulary=16_000),
    )
    assert (few.batch, few.epochs, few.max_tokens) == (8, 40, 32)
    assert (many.batch, many.epochs, many.max_tokens) == (64, 4, 304)
    assert (few.context_gradients, many.context_gradients) == (False, True)
    assert derive_config([9] * 200, 2, vocabulary=1000, epochs=3, width=None).epochs == 3
    taught = derive_config([9] * 100, 2, more=99_900, taught=True, vocabulary=1000)
    assert (taught.epochs, taught.max_tokens) == (6, 32)
    assert (taught.label_smoothing, taught.token_dropout) == (0.0, 0.0)
    with pytest.raises(DataError, match="multiple"):
        derive_config([9] * 200, 2, vocabulary=1000, width=10, heads=4)
    assert dev_fraction(100) == 0.2
    assert dev_fraction(1500) == pytest.approx(200 / 1500)
    assert dev_fraction(50_000) == 0.1
    assert dev_fraction(1_000_000) == 0.01


def test_the_learning_rate_rises_and_falls() -> None:
    config = TrainConfig(vocabulary=9, max_tokens=9, epochs=1, batch=1, patience=1)
    rates = [learning_rate(step, 100, config) / config.learning_rate for step in range(100)]
    assert rates[0] == 0.1
    assert rates[9] == rates[10] == 1
    assert rates[99] == pytest.approx(1 / 90)
    assert learning_rate(0, 1, config) == config.learning_rate


@pytest.fixture(scope="module")
def dataset(train_csv: Path) -> Dataset:
    rows = read_labelled(train_csv)
    return tokenize_texts(rows, Tokenizer.fit(rows.texts, 1000), ["negative", "positive"], 512)


def test_an_epoch_holds_every_text_once_in_little_padding(dataset: Dataset) -> None:
    batches = dataset.epoch(8, np.random.default_rng(0))
    assert sorted(np.concatenate(batches)) == list(range(300))
    sizes = [dataset.batch(positions)[0] for positions in batches]
    padding = sum(int((ids == 0).sum()) for ids in sizes) / sum(ids.numel() for ids in sizes)
    assert padding < 0.1
    assert len(dataset.epoch(7, np.random.default_rng(0))) == 43


def test_an_epoch_is_judged_by_what_is_shipped(dataset: Dataset) -> None:
    config = derive_config(dataset.lengths.tolist(), 2, vocabulary=1000, width=16, heads=2)
    torch.manual_seed(0)
    network = Network(config.network(1000, 2))
    alone, _ = score_dev(network, dataset)
    assert alone < 0.9
    ngram_logits = 5 * np.eye(2, dtype=np.float32)[dataset.labels]
    assert score_dev(network, dataset, ngram_logits) == pytest.approx((1, 0), abs=0.02)
    assert score_dev(network, dataset, 0 * ngram_logits)[0] == alone


def test_cut_and_batch(dataset: Dataset) -> None:
    cut = dataset.cut(3)
    assert cut.lengths.max() == 3
    whole, labels = dataset.batch([5, 9])
    assert (cut.batch([5, 9])[0] == whole[:, :3]).all()
    assert labels.tolist() == [dataset.labels[5], dataset.labels[9]]
    assert (whole[0] != 0).sum() == dataset.lengths[5]


def test_dropped_tokens_leave_no_gap_and_no_empty_text(dataset: Dataset) -> None:
    ids, _ = dataset.batch(list(range(64)))
    random = np.random.default_rng(0)
    most = int(dataset.ids.max()) + 1
    for none_left in (np.zeros(most), np.ones(most)):  # rather all than none
        assert torch.equal(compact_rows(ids, sample_kept_tokens(ids, none_left, random)), ids)
    for share in (0.1, 0.9):
        kept = sample_kept_tokens(ids, np.full(most, share), random)
        after = compact_rows(ids, kept)
        ngram_logits = compact_rows(torch.stack([ids, -ids], dim=2), kept)
        assert torch.equal(ngram_logits, torch.stack([after, -after], dim=2))
        for before, row in zip(ids.tolist(), after.tolist(), strict=True):
            left = [token for token in row if token]
            assert left
            assert row == left + [0] * (len(row) - len(left))
            rest = iter(before)
            assert all(token in rest for token in left)  # in their order


def test_rare_tokens_are_left_out_more_often() -> None:
    frequencies = np.array([0, 1, 3, 1000])
    assert token_dropout_probabilities(frequencies, 0.0, 3.0) == pytest.approx(
        [1, 0.75, 0.5, 3 / 1003]
    )
    assert token_dropout_probabilities(frequencies, 0.1, 0.0)[1:] == pytest.approx([0.1, 0.1, 0.1])
    assert token_dropout_probabilities(frequencies, 0.1, 3.0)[2] == pytest.approx(1 - 0.9 * 0.5)


def test_temperature_calibrates() -> None:
    random = np.random.default_rng(0)
    true = random.normal(size=(4000, 3)) * 2
    probabilities = softmax(true)
    truth = np.array([random.choice(3, p=row) for row in probabilities])
    temperature = fit_temperature((true * 3).astype(np.float32), truth)
    assert temperature == pytest.approx(3, rel=0.1)
    assert score_predictions(softmax(true * 3 / temperature), truth, ["a", "b", "c"]).ece < 0.02
    certain = np.eye(3, dtype=np.float32)[truth]
    assert 0.05 < fit_temperature(certain, truth) < 1  # no error in dev is no certainty
