"""The script that sets random rows aside for dev."""

from pathlib import Path

import pytest

from heed.model.data.labelled import read_labelled
from heed.model.data.training_rows import DataFiles, read_training_rows
from heed.model.errors import DataError
from scripts import hold_out
from tests.support.texts import write_csv

ROWS = [(f"text {number}", "ab"[number % 2]) for number in range(20)]


def test_held_out_rows_are_repeatable_and_not_trained_on(tmp_path: Path) -> None:
    train = write_csv(tmp_path / "train.csv", ROWS)
    drawn = []
    for name in ("one.csv.gz", "again.csv.gz"):
        hold_out.main([str(train), "5", str(tmp_path / name)])
        drawn.append(read_labelled(tmp_path / name).texts)
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) == 5
    rows = read_training_rows(DataFiles(train=(train,), dev=(tmp_path / "one.csv.gz",)), seed=0)
    assert sorted(rows.train.texts + drawn[0]) == sorted(text for text, _ in ROWS)


def test_more_rows_than_the_file_has_are_an_error(tmp_path: Path) -> None:
    train = write_csv(tmp_path / "train.csv", ROWS)
    with pytest.raises(DataError, match="99 of 20 rows cannot be held out"):
        hold_out.set_aside(train, 99, tmp_path / "x.csv.gz")
