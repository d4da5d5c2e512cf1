"""Which rows a training uses: held-out rows are left out."""

from pathlib import Path

import pytest

from heed.model.data.training_rows import (
    DataFiles,
    TrainingRows,
    dev_fraction,
    read_training_rows,
)
from heed.model.errors import DataError
from tests.support.texts import write_csv

ROWS = [(f"text {number}", "ab"[number % 2]) for number in range(20)]


@pytest.fixture
def train(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "train.csv", ROWS)


def read(train: Path, dev: tuple[Path, ...] = (), test: Path | None = None) -> TrainingRows:
    return read_training_rows(DataFiles(train=(train,), dev=dev, test=test), seed=0)


def test_dev_rows_of_two_files_are_left_out_of_training(tmp_path: Path, train: Path) -> None:
    first = write_csv(tmp_path / "first.csv", [*ROWS[:2], ("another", "a")])
    second = write_csv(tmp_path / "second.csv", ROWS[5:7])
    rows = read(train, (first, second))
    assert rows.dev.texts == ["text 0", "text 1", "another", "text 5", "text 6"]
    assert rows.dev.where(3) == f"{second}, row 2"
    assert rows.train.texts == [text for text, _ in [*ROWS[2:5], *ROWS[7:]]]
    shared, dropped = rows.notes
    assert shared == "Texts of first.csv and second.csv that are also in train.csv: 4 of 5."
    assert dropped == (
        "Rows of train.csv left out because their text is in first.csv and second.csv: 4."
    )


def test_dev_and_test_rows_are_left_out_of_training(tmp_path: Path, train: Path) -> None:
    dev = write_csv(tmp_path / "dev.csv", ROWS[:2])
    test = write_csv(tmp_path / "test.csv", ROWS[2:4])
    assert read(train, (dev,), test).train.texts == [text for text, _ in ROWS[4:]]


def test_test_rows_are_not_held_out_for_dev(tmp_path: Path, train: Path) -> None:
    test = write_csv(tmp_path / "test.csv", ROWS[:10])
    rows = read(train, test=test)
    assert not {*rows.dev.texts} & {text for text, _ in ROWS[:10]}
    assert rows.notes[0] == "Texts of test.csv that are also in train.csv: 10 of 10."


def test_test_rows_are_left_out_of_dev(tmp_path: Path, train: Path) -> None:
    dev = write_csv(tmp_path / "dev.csv", [*ROWS[:3], ("another", "a")])
    test = write_csv(tmp_path / "test.csv", [*ROWS[:1], ("another", "a")])
    rows = read(train, (dev,), test)
    assert "Texts of test.csv that are also in train.csv: 1 of 2." in rows.notes
    assert rows.dev.texts == ["text 1", "text 2"]
    assert "Rows of dev.csv left out because their text is in test.csv: 2." in rows.notes


def test_a_label_keeps_its_last_rows(tmp_path: Path) -> None:
    train = write_csv(tmp_path / "train.csv", [*ROWS, ("the only one", "c")])
    dev = write_csv(tmp_path / "dev.csv", [*ROWS[:4], ("the only one", "c")])
    rows = read(train, (dev,))
    assert rows.train.texts == [*(text for text, _ in ROWS[4:]), "the only one"]
    assert rows.notes[-1] == (
        "Rows of train.csv kept although their text is in dev.csv, because their label would have "
        "no other row: 1."
    )


def test_a_training_file_may_also_be_dev_and_test(tmp_path: Path, train: Path) -> None:
    rows = read(train, (train,), train)
    assert rows.train.texts == rows.dev.texts == [text for text, _ in ROWS]
    assert not rows.notes
    other = write_csv(tmp_path / "other.csv", ROWS[:3])
    rows = read(train, (train, other))
    assert rows.train.texts == [text for text, _ in ROWS[3:]]
    assert len(rows.dev.texts) == 23


def test_an_unknown_label_is_an_error_that_names_its_row(tmp_path: Path, train: Path) -> None:
    good = write_csv(tmp_path / "good.csv", ROWS[:2])
    bad = write_csv(tmp_path / "bad.csv", [("x", "a"), ("y", "c")])
    with pytest.raises(DataError, match=r"bad\.csv, row 3: unknown label 'c'"):
        read(train, (good, bad))


def test_a_single_label_is_an_error(tmp_path: Path) -> None:
    train = write_csv(tmp_path / "one.csv", [("a film", "x"), ("a book", "x")])
    with pytest.raises(DataError, match="every row has the label 'x'"):
        read(train)


def test_a_label_without_dev_rows_is_noted(tmp_path: Path) -> None:
    train = write_csv(tmp_path / "train.csv", [*ROWS, ("the only one", "c"), ("the only one", "c")])
    rows = read(train)
    assert {*rows.dev.labels} == {"a", "b"}
    assert rows.labels == ["a", "b", "c"]
    assert rows.notes[-1].startswith("Labels without a dev row")
    assert rows.notes[-1].endswith(": c.")


def test_unlabelled_texts_that_are_held_out_are_left_out(tmp_path: Path, train: Path) -> None:
    dev = write_csv(tmp_path / "dev.csv", ROWS[:2])
    more = write_csv(tmp_path / "more.csv", [*ROWS[:3], ("new", "")])
    more.write_text(more.read_text().replace(",a", ",").replace(",b", ","))
    files = DataFiles(train=(train,), dev=(dev,), unlabelled=more, out_of_scope=more)
    rows = read_training_rows(files, seed=0)
    assert rows.unlabelled is not None
    assert rows.unlabelled.texts == ["text 2", "new"]
    assert rows.out_of_scope is not None
    assert rows.out_of_scope.labels == [""] * 4


def test_the_share_of_held_out_rows_follows_their_number() -> None:
    assert dev_fraction(100) == 0.2
    assert dev_fraction(1500) == pytest.approx(200 / 1500)
    assert dev_fraction(50_000) == 0.1
    assert dev_fraction(1_000_000) == 0.01
