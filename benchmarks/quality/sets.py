"""The sets of the comparison: their files, and the bundle that was trained on each."""

from dataclasses import dataclass
from pathlib import Path

from heed.model.data import DataFiles, TrainingRows, read_training_rows
from heed.model.errors import HeedError
from scripts.hold_out import set_aside


@dataclass(frozen=True)
class Set:
    """File names in the folder of a set."""

    train: str
    dev: str | None
    """None: `dev_rows` of the train file, which the bundle's training left out as well."""
    test: str
    bundle: str | None
    """The shipped bundle that was trained on the train file."""
    dev_rows: int = 0


SETS = {
    "sst2": Set("train_phrases.csv.gz", "dev.csv.gz", "test.csv.gz", "bundles/sentiment"),
    "imdb": Set("train.csv.gz", None, "test.csv.gz", "bundles/sentiment", dev_rows=1000),
    "agnews": Set("train.csv.gz", "dev.csv.gz", "test.csv.gz", None),
    "clinc150": Set("train.csv.gz", "dev.csv.gz", "test.csv.gz", "bundles/intents"),
    "chnsenticorp": Set("train.csv.gz", "dev.csv.gz", "test_clean.csv.gz", "bundles/sentiment-zh"),
}
OWN = "own"
"""Name of the set whose files the command line names."""


def read_set(name: str, data: Path, out: Path) -> TrainingRows:
    """Read a set of `SETS` as `heed train` reads it.

    Args:
        name: of the set.
        data: folder that holds a folder for each set.
        out: folder for the dev rows that are taken from the train file.

    Raises:
        HeedError: the set is unknown, or a file cannot be read.
    """
    if name not in SETS:
        raise HeedError(f"no such set; there is {', '.join(SETS)}, and {OWN} with --train")
    files, folder = SETS[name], data / name
    if files.dev is None:
        dev = out / f"{name}_dev.csv.gz"
        set_aside(folder / files.train, files.dev_rows, dev)
    else:
        dev = folder / files.dev
    return read_files((folder / files.train,), dev, folder / files.test)


def read_files(train: tuple[Path, ...], dev: Path | None, test: Path) -> TrainingRows:
    """Read named files as `heed train` reads them; raises `HeedError` if one cannot be read."""
    files = DataFiles(train=train, dev=(dev,) if dev else (), test=test)
    return read_training_rows(files, seed=0)
