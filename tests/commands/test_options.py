"""Which rows a training takes: what is held out is not learnt."""

from pathlib import Path

import pytest

from heed.model.commands.options import TrainOptions, read_rows
from heed.model.data.labelled import read_labelled
from heed.model.errors import DataError
from scripts import hold_out
from tests.support.texts import write_csv

ROWS = [(f"text {number}", "ab"[number % 2]) for number in range(20)]


@pytest.fixture
def train(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "train.csv", ROWS)


def test_dev_rows_of_two_files_are_not_learnt(tmp_path: Path, train: Path) -> None:
    first = write_csv(tmp_path / "first.csv", [*ROWS[:2], ("another", "a")])
    second = write_csv(tmp_path / "second.csv", ROWS[5:7])
    rows = read_rows(TrainOptions((train,), tmp_path, dev=(first, second)))
    assert rows.dev.texts == ["text 0", "text 1", "another", "text 5", "text 6"]
    assert rows.dev.where(3) == f"{second}, row 2"
    assert rows.train.texts == [text for text, _ in [*ROWS[2:5], *ROWS[7:]]]
    here, there = rows.notes
    assert here == "Texts of first.csv and second.csv that stand in train.csv, too: 4 of 5."
    assert "left out, because their text stands in first.csv" in there


def test_test_rows_are_not_learnt_nor_are_those_of_dev(tmp_path: Path, train: Path) -> None:
    dev = write_csv(tmp_path / "dev.csv", ROWS[:2])
    test = write_csv(tmp_path / "test.csv", ROWS[2:4])
    rows = read_rows(TrainOptions((train,), tmp_path, dev=(dev,), test=test))
    assert rows.train.texts == [text for text, _ in ROWS[4:]]


def test_test_rows_are_not_set_aside_for_dev(tmp_path: Path, train: Path) -> None:
    test = write_csv(tmp_path / "test.csv", ROWS[:10])
    rows = read_rows(TrainOptions((train,), tmp_path, test=test))
    assert not {*rows.dev.texts} & {text for text, _ in ROWS[:10]}
    assert rows.notes[0] == "Texts of test.csv that stand in train.csv, too: 10 of 10."


def test_what_dev_and_test_share_is_left_out_of_dev(tmp_path: Path, train: Path) -> None:
    dev = write_csv(tmp_path / "dev.csv", [*ROWS[:3], ("another", "a")])
    test = write_csv(tmp_path / "test.csv", [*ROWS[:1], ("another", "a")])
    rows = read_rows(TrainOptions((train,), tmp_path, dev=(dev,), test=test))
    assert "Texts of test.csv that stand in train.csv, too: 1 of 2." in rows.notes
    assert rows.dev.texts == ["text 1", "text 2"]
    assert "Rows of dev.csv left out, because their text stands in test.csv: 2." in rows.notes


def test_a_label_keeps_its_last_rows(tmp_path: Path) -> None:
    train = write_csv(tmp_path / "train.csv", [*ROWS, ("the only one", "c")])
    dev = write_csv(tmp_path / "dev.csv", [*ROWS[:4], ("the only one", "c")])
    rows = read_rows(TrainOptions((train,), tmp_path, dev=(dev,)))
    assert rows.train.texts == [*(text for text, _ in ROWS[4:]), "the only one"]
    assert rows.notes[-1] == (
        "Rows of train.csv kept though their text stands in dev.csv, because their label would "
        "have none left: 1."
    )


def test_who_measures_on_what_is_learnt_may(tmp_path: Path, train: Path) -> None:
    """A training file is learnt, whatever other files are held out beside it."""
    rows = read_rows(TrainOptions((train,), tmp_path, dev=(train,), test=train))
    assert rows.train.texts == rows.dev.texts == [text for text, _ in ROWS]
    assert not any("train.csv that stand in train.csv" in note for note in rows.notes)
    other = write_csv(tmp_path / "other.csv", ROWS[:3])
    rows = read_rows(TrainOptions((train,), tmp_path, dev=(train, other)))
    assert rows.train.texts == [text for text, _ in ROWS[3:]]
    assert len(rows.dev.texts) == 23


def test_an_unknown_label_is_refused_where_it_stands(tmp_path: Path, train: Path) -> None:
    good = write_csv(tmp_path / "good.csv", ROWS[:2])
    bad = write_csv(tmp_path / "bad.csv", [("x", "a"), ("y", "c")])
    with pytest.raises(DataError, match=r"bad\.csv, row 3: unknown label 'c'"):
        read_rows(TrainOptions((train,), tmp_path, dev=(good, bad)))


def test_a_label_without_dev_rows_is_told(tmp_path: Path) -> None:
    train = write_csv(tmp_path / "train.csv", [*ROWS, ("the only one", "c"), ("the only one", "c")])
    rows = read_rows(TrainOptions((train,), tmp_path))
    assert {*rows.dev.labels} == {"a", "b"}
    assert rows.notes[-1].endswith("stand with other labels, too: c.")


def test_names_that_no_bundle_could_have(tmp_path: Path, train: Path) -> None:
    for version in ("", "1" * 65):
        with pytest.raises(DataError, match=r"--version .* 1 to 64 characters"):
            TrainOptions((train,), tmp_path / "out", version=version)
    with pytest.raises(DataError, match="give one with --name"):
        TrainOptions((train,), tmp_path / "no name")


def test_rows_set_aside_are_not_learnt(tmp_path: Path, train: Path) -> None:
    drawn = []
    for name in ("one.csv.gz", "again.csv.gz"):
        hold_out.main([str(train), "5", str(tmp_path / name)])
        drawn.append(read_labelled(tmp_path / name).texts)
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) == 5
    rows = read_rows(TrainOptions((train,), tmp_path, dev=(tmp_path / "one.csv.gz",)))
    assert sorted(rows.train.texts + drawn[0]) == sorted(text for text, _ in ROWS)
    with pytest.raises(DataError, match="99 rows of 20 cannot be set aside"):
        hold_out.set_aside(train, 99, tmp_path / "x.csv.gz")
