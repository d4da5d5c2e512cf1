"""Which rows a training takes: what is held out is not learnt."""

from pathlib import Path

import pytest

from model.errors import DataError
from model.order import Order, read_rows
from tests.texts import write_csv

ROWS = [(f"text {number}", "ab"[number % 2]) for number in range(20)]


@pytest.fixture
def train(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "train.csv", ROWS)


def test_dev_rows_of_two_files_are_not_learnt(tmp_path: Path, train: Path) -> None:
    first = write_csv(tmp_path / "first.csv", [*ROWS[:2], ("another", "a")])
    second = write_csv(tmp_path / "second.csv", ROWS[5:7])
    rows = read_rows(Order((train,), tmp_path, dev=(first, second)))
    assert rows.dev.texts == ["text 0", "text 1", "another", "text 5", "text 6"]
    assert rows.dev.where(3) == f"{second}, row 2"
    assert rows.train.texts == [text for text, _ in [*ROWS[2:5], *ROWS[7:]]]
    here, there = rows.notes
    assert here == "Texts of first.csv and second.csv that stand in train.csv, too: 4 of 5."
    assert "left out of training, because their text stands in first.csv" in there


def test_test_rows_are_not_learnt_nor_are_those_of_dev(tmp_path: Path, train: Path) -> None:
    dev = write_csv(tmp_path / "dev.csv", ROWS[:2])
    test = write_csv(tmp_path / "test.csv", ROWS[2:4])
    rows = read_rows(Order((train,), tmp_path, dev=(dev,), test=test))
    assert rows.train.texts == [text for text, _ in ROWS[4:]]


def test_who_measures_on_what_is_learnt_may(tmp_path: Path, train: Path) -> None:
    rows = read_rows(Order((train,), tmp_path, dev=(train,), test=train))
    assert rows.train.texts == rows.dev.texts == [text for text, _ in ROWS]
    assert rows.notes == []


def test_an_unknown_label_is_refused_where_it_stands(tmp_path: Path, train: Path) -> None:
    good = write_csv(tmp_path / "good.csv", ROWS[:2])
    bad = write_csv(tmp_path / "bad.csv", [("x", "a"), ("y", "c")])
    with pytest.raises(DataError, match=r"bad\.csv, row 3: unknown label 'c'"):
        read_rows(Order((train,), tmp_path, dev=(good, bad)))
