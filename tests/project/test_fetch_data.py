"""`make data` writes public sets as files; here the set is in a folder instead of on the hub."""

import re
from pathlib import Path

import pytest

from heed.model.data.labelled import read_labelled
from heed.model.errors import DataError
from scripts.fetch_data import SOURCES, Source, fetch
from tests.support.command import ROOT
from tests.support.sets import Make


def test_written_rows_can_be_read_by_training(make_set: Make, tmp_path: Path) -> None:
    name = make_set(text="sentence", train=40, test=20)
    source = Source(f"{name}@train", text="sentence", renamed={"bad": "negative"})
    file = tmp_path / "folder" / "train.csv.gz"
    assert fetch(source, file) == 40
    found = read_labelled(file)
    assert set(found.labels) == {"negative", "good"}
    assert len(found.texts) == 40
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_labels_and_texts_can_be_excluded(make_set: Make, tmp_path: Path) -> None:
    name = f"{make_set(train=40)}@train"
    file = tmp_path / "some.csv.gz"
    assert 0 < fetch(Source(name, labels=("good",)), file) < 40
    assert set(read_labelled(file).labels) == {"good"}
    assert fetch(Source(name, excluded=name), file) == 0


def test_split_without_labels_is_refused(make_set: Make, tmp_path: Path) -> None:
    name = make_set(train=20, test=-20)
    file = tmp_path / "test.csv.gz"
    with pytest.raises(DataError, match="the labels are hidden"):
        fetch(Source(f"{name}@test"), file)
    assert not file.exists()


@pytest.mark.parametrize("target", ["sentiment", "intents", "sentiment-zh"])
def test_make_data_fetches_every_file_that_make_train_reads(target: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    recipe = makefile.split(f"\ntrain-{target}:")[1].split("\n\n")[0]
    files = re.findall(r"\$\(DATA\)/(\S+)\.csv\.gz", recipe)
    assert files
    assert set(files) <= set(SOURCES)
