"""Read public data sets by name, with the package `datasets` from the extra `hub`.

`hf:NAME` is a data set on the Hugging Face hub, or a folder that `datasets` can read.
`hf:NAME:CONFIG` is one of its configurations. `hf:NAME@SPLIT` and `hf:NAME:CONFIG@SPLIT` are one of
its splits, or a slice of a split (`@train[:1000]`). No code of a data set is run, because
`datasets` 4 and later runs none.
"""

import logging
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from heed.model.errors import DataError, HeedError, to_install

Part = Literal["train", "dev", "test"]

PREFIX = "hf:"
SPLITS: dict[Part, tuple[str, ...]] = {
    "train": ("train",),
    "dev": ("validation", "dev", "valid", "val"),
    "test": ("test",),
}
"""Names of the splits for each purpose; the first that the data set has is used."""
ROWS_PER_READ = 1024
"""Number of rows read at a time."""


def is_hub_dataset(path: Path) -> bool:
    """True if the path is the name of a public data set, not of a file."""
    return str(path).startswith(PREFIX)


def display_name(path: Path) -> str:
    """Return the name for messages and cards: the file name, or the name on the hub."""
    return str(path).removeprefix(PREFIX) if is_hub_dataset(path) else path.name


def with_default_split(path: Path, part: Part) -> Path:
    """Add the split for a purpose to the name of a data set.

    Returns a file, or a name with a split, unchanged.

    Raises:
        HeedError: the data set does not exist or has no such split.
    """
    if not is_hub_dataset(path) or "@" in path.name:
        return path
    splits = _splits(str(path))
    for name in SPLITS[part]:
        if name in splits:
            return Path(f"{path}@{name}")
    raise DataError(
        f"{path}: has no {SPLITS[part][0]} split; its splits are {', '.join(splits)}; name one, "
        f"such as {path}@{next(iter(splits))}"
    )


def find_sibling_split(path: Path, part: Part, label_column: str) -> Path | None:
    """Return the name of another split of the same data set, if that split has labels.

    Returns None for a file, and for a name that already has a split.

    Raises:
        HeedError: the data set does not exist.
    """
    if not is_hub_dataset(path) or "@" in path.name:
        return None
    splits = _splits(str(path))
    name = next((name for name in SPLITS[part] if name in splits), None)
    if name is None or label_column not in splits[name].column_names:
        return None
    # Benchmarks such as GLUE hide the labels of their test rows: each is -1.
    hidden = splits[name][:1][label_column] == [-1]
    return None if hidden else Path(f"{path}@{name}")


def read_hub_rows(
    path: Path, text_column: str, label_column: str
) -> Iterator[tuple[int, Any, Any]]:
    """Yield row number, text and label of each row. The first row is 1.

    Integer labels are replaced by their class names; a hidden label (-1) is None.

    Raises:
        HeedError: the data set, the split or a column does not exist.
    """
    source, _, split = str(with_default_split(path, "train")).rpartition("@")
    rows = _splits(source).get(split) or _load(source, split)
    for column in (text_column, label_column):
        if column not in rows.column_names:
            raise DataError(
                f"{path}: no column {column!r}; the columns are "
                f"{', '.join(map(repr, rows.column_names))}; name it with --text-column or "
                "--label-column"
            )
    names = getattr(rows.features[label_column], "names", None)
    number = 0
    for chunk in rows.select_columns(list({text_column, label_column})).iter(ROWS_PER_READ):
        for text, label in zip(chunk[text_column], chunk[label_column], strict=True):
            number += 1
            if names:
                label = names[label] if label is not None and label >= 0 else None
            yield number, text, label


@cache
def _splits(source: str) -> dict[str, Any]:
    """Return all splits of `hf:NAME` or `hf:NAME:CONFIG`, by name."""
    splits: dict[str, Any] = _load(source, None)
    return splits


def _load(source: str, split: str | None) -> Any:
    if find_spec("datasets") is None:
        raise HeedError(f"{source}: datasets is not installed; run {to_install('train,hub')}")
    import datasets

    datasets.disable_progress_bars()
    for library in ("datasets", "huggingface_hub"):  # they log each attempt to reach the hub
        logging.getLogger(library).setLevel(logging.CRITICAL)
    name, _, config = source.removeprefix(PREFIX).partition(":")
    if not name:
        raise DataError(f"{source}: has no name after hf:; write it as in hf:stanfordnlp/imdb")
    try:
        return datasets.load_dataset(name, config or None, split=split)
    except ConnectionError as error:  # also raised if HF_HUB_OFFLINE is set
        raise DataError(
            f"{source}: the hub cannot be reached ({_shorten(error)}); check the network, or name "
            "a folder, as in hf:./folder"
        ) from error
    except datasets.exceptions.DatasetNotFoundError as error:
        raise DataError(
            f"{source}: no such data set on the hub, and no such folder; copy the name from its "
            "page on the hub, as in hf:stanfordnlp/imdb"
        ) from error
    except Exception as error:  # faulty files, unknown configurations, a full disk
        raise DataError(f"{source}: datasets cannot read it: {_shorten(error)}") from error


def _shorten(error: Exception) -> str:
    words = " ".join(str(error).split()) or type(error).__name__
    return (words if len(words) <= 300 else words[:300] + "…").rstrip(".")
