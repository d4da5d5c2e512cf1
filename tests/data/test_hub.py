"""Public data sets by name. The tests read real data sets in folders, without a network."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from heed.model.data.hub import find_sibling_split, with_default_split
from heed.model.data.labelled import read_labelled, read_texts
from heed.model.errors import DataError
from heed.model.inference.bundle import Bundle
from tests.support.command import heed, heed_alone
from tests.support.sets import NAMES, Make
from tests.support.texts import reviews


def error_of(read: Callable[[], object]) -> str:
    with pytest.raises(DataError) as caught:
        read()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_rows_are_read_with_the_names_of_their_classes(make_set: Make) -> None:
    name = make_set(train=9, validation=4, test=-3)
    rows = read_labelled(name)
    assert [rows.texts, list(rows.rows)] == [[text for text, _ in reviews(9, 0)], [*range(1, 10)]]
    assert rows.labels == [NAMES[label == "positive"] for _, label in reviews(9, 0)]
    assert rows.where(2) == f"{name}, row 3"
    assert read_labelled(Path(f"{name}@train[2:4]")).texts == rows.texts[2:4]
    assert read_texts(Path(f"{name}@test")).texts == [text for text, _ in reviews(3, 2)]
    assert "row 1: 'label' is missing" in error_of(lambda: read_labelled(Path(f"{name}@test")))


def test_each_purpose_has_a_default_split(make_set: Make) -> None:
    name = make_set(train=9, validation=4, test=-3)
    assert (
        with_default_split(name, "dev")
        == find_sibling_split(name, "dev", "label")
        == Path(f"{name}@validation")
    )
    assert with_default_split(Path(f"{name}@train"), "test") == Path(f"{name}@train")
    assert find_sibling_split(name, "test", "label") is None  # its labels are hidden (-1)
    assert find_sibling_split(Path("a.csv"), "dev", "label") is None
    assert with_default_split(Path("a.csv"), "dev") == Path("a.csv")


def test_a_missing_set_split_or_column_is_an_error(make_set: Make, tmp_path: Path) -> None:
    name = make_set(train=9)
    assert find_sibling_split(name, "dev", "label") is None
    assert "has no validation split; its splits are train" in error_of(
        lambda: with_default_split(name, "dev")
    )
    assert "no column 'body'; the columns are 'text', 'label'" in error_of(
        lambda: read_labelled(name, "body")
    )
    assert "Unknown split" in error_of(lambda: read_labelled(Path(f"{name}@other")))
    assert "'other' not found" in error_of(lambda: read_labelled(Path(f"{name}:other")))
    nowhere = Path(f"hf:{tmp_path / 'nowhere'}")
    assert "datasets cannot read it" in error_of(lambda: read_labelled(nowhere))
    assert "has no name after hf:" in error_of(lambda: read_labelled(Path("hf:")))


@pytest.mark.slow
def test_train_and_evaluate_a_set_by_name(make_set: Make, tmp_path: Path) -> None:
    name, out = make_set("body", "kind", train=60, validation=20, test=30), tmp_path / "out"
    columns = ("--text-column", "body", "--label-column", "kind")
    heed("train", name, "--out", out, *columns, "--epochs", 1, "--width", 8, "--heads", 2)
    config = Bundle.load(out).config
    assert config.labels == NAMES
    # One of the 60 texts is also in dev.
    assert config.training["rows"] == {"train": 59, "dev": 20, "test": 30}
    assert config.training["data"] == str(name).removeprefix("hf:")
    done = heed("evaluate", out, name, "--json", *columns)
    scores = json.loads(done.stdout)
    assert scores["n"] == 30
    assert scores["accuracy"] == config.scores["test"]["accuracy"]


@pytest.mark.slow
def test_without_a_network_the_error_says_so(make_set: Make, tmp_path: Path) -> None:
    make_set(train=1)  # its environment forbids the network
    done = heed_alone("train", "hf:heed-tests/none", "--out", tmp_path / "out", check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("heed: hf:heed-tests/none: the hub cannot be reached (")
    assert done.stderr.count("\n") == 1
