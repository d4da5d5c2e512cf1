"""What `heed train` and `heed export` print, and how they fail."""

import re
import shutil
from pathlib import Path

from tests.support.command import heed
from tests.support.texts import reviews, write_csv


def failure(*arguments: object) -> str:
    """The error line of a `heed train` that ends with status 2."""
    done = heed("train", *arguments, check=False)
    assert done.returncode == 2
    line = done.stderr.splitlines()[-1]
    assert line.startswith("heed: ")
    return line


def test_bad_input_is_one_line_and_writes_nothing(tmp_path: Path, train_csv: Path) -> None:
    out = ("--out", tmp_path / "out")
    dev = write_csv(tmp_path / "dev.csv", [("a film", "positive"), ("a book", "neutral")])
    assert "dev.csv, row 3: unknown label 'neutral'" in failure(train_csv, "--dev", dev, *out)
    assert "test.csv: no such file" in failure(train_csv, "--test", tmp_path / "test.csv", *out)
    blank = write_csv(tmp_path / "blank.csv", [*reviews(20, 0), ("\u200d", "positive")])
    assert "blank.csv, row 22: the text contains no token" in failure(blank, *out)
    assert "multiple of --heads 3" in failure(train_csv, *out, "--width", 32, "--heads", 3)
    assert "--blocks" in failure(train_csv, *out, "--blocks", -1)
    assert "no column 'words'" in failure(train_csv, *out, "--text-column", "words")
    assert not (tmp_path / "out").exists()


def test_an_existing_folder_needs_force(tmp_path: Path, train_csv: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "config.json").write_text("{}")
    assert "--force" in failure(train_csv, "--out", taken)


def test_help_names_a_default_for_each_optional_size() -> None:
    text = " ".join(heed("train", "--help").stdout.split())
    for option in ("--epochs", "--batch", "--width", "--blocks", "--heads", "--hidden"):
        description = re.search(rf" {option} <.*?> (.*?)(?= --[a-z-]+ <| --help)", text)
        assert description, option
        assert "Default: " in description[1], option


def test_force_with_a_teacher_that_cannot_be_read_keeps_the_old_checkpoint(
    tmp_path: Path, train_csv: Path, trained: Path, checkpoint: Path
) -> None:
    old = Path(shutil.copytree(checkpoint, tmp_path / "checkpoint"))
    bundle = Path(shutil.copytree(trained, tmp_path / "bundle"))
    before = {file: file.read_bytes() for file in (*old.iterdir(), *bundle.iterdir())}
    (tmp_path / "typo").mkdir()
    line = failure(
        *(train_csv, "--out", bundle, "--checkpoint", old, "--force", "--init-embeddings", "none"),
        *("--teacher", tmp_path / "typo"),
    )
    assert "--teacher" in line
    assert {file: file.read_bytes() for file in (*old.iterdir(), *bundle.iterdir())} == before
