"""Public data sets by their name, through the package `datasets`, from the extra `hub`.

`hf:NAME` names a set on the hub or a folder that `datasets` can read, `hf:NAME:CONFIG` one of its
configurations, and `hf:NAME@SPLIT` or `hf:NAME:CONFIG@SPLIT` one of its splits, or a part of one as
`datasets` writes it (`@train[:1000]`). No code of a set is run: `datasets` 4 and later runs none.
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
"""What the splits of a set are called, the first that it has."""
ROWS_PER_READ = 1024
"""Rows read at a time."""


def is_hub_dataset(path: Path) -> bool:
    """Whether it is the name of a set, not of a file."""
    return str(path).startswith(PREFIX)


def display_name(path: Path) -> str:
    """How to speak of it: a file by its name, a set by the name that finds it."""
    return str(path).removeprefix(PREFIX) if is_hub_dataset(path) else path.name


def with_default_split(path: Path, part: Part) -> Path:
    """The same set with its split for a purpose; a file, or a set with a split, stays as it is.

    Raises:
        HeedError: there is no such set, or it has no such split.
    """
    if not is_hub_dataset(path) or "@" in path.name:
        return path
    splits = _splits(str(path))
    for name in SPLITS[part]:
        if name in splits:
            return Path(f"{path}@{name}")
    raise DataError(
        f"{path}: no {SPLITS[part][0]} split; there is {', '.join(splits)}; name one as in "
        f"{path}@{next(iter(splits))}"
    )


def find_sibling_split(path: Path, part: Part, label_column: str) -> Path | None:
    """Another split of the same set, if it has one with labels; None for a file.

    Raises:
        HeedError: there is no such set.
    """
    if not is_hub_dataset(path) or "@" in path.name:
        return None
    splits = _splits(str(path))
    name = next((name for name in SPLITS[part] if name in splits), None)
    if name is None or label_column not in splits[name].column_names:
        return None
    # Sets of a contest hide the labels of their test rows: each is then -1.
    hidden = splits[name][:1][label_column] == [-1]
    return None if hidden else Path(f"{path}@{name}")


def read_hub_rows(
    path: Path, text_column: str, label_column: str
) -> Iterator[tuple[int, Any, Any]]:
    """Rows of a set, each with its number, the first is 1; a class is told by its name.

    Raises:
        HeedError: there is no such set, split or column.
    """
    where = with_default_split(path, "train")
    source, _, split = str(where).rpartition("@")
    rows = _splits(source).get(split) or _load(source, split)
    for column in (text_column, label_column):
        if column not in rows.column_names:
            raise DataError(
                f"{path}: no column {column!r}; there is {', '.join(map(repr, rows.column_names))};"
                " name it with --text-column or --label-column"
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
    """Every split of `hf:NAME` or `hf:NAME:CONFIG`."""
    splits: dict[str, Any] = _load(source, None)
    return splits


def _load(source: str, split: str | None) -> Any:
    if find_spec("datasets") is None:
        raise HeedError(f"{source}: datasets is not installed; {to_install('train,hub')} brings it")
    import datasets

    datasets.disable_progress_bars()
    for library in ("datasets", "huggingface_hub"):  # which tells of each try to reach the hub
        logging.getLogger(library).setLevel(logging.CRITICAL)
    name, _, config = source.removeprefix(PREFIX).partition(":")
    if not name:
        raise DataError(f"{source}: names no set; write one as in hf:stanfordnlp/imdb")
    try:
        return datasets.load_dataset(name, config or None, split=split)
    except ConnectionError as error:  # so it is, too, where HF_HUB_OFFLINE forbids the network
        raise DataError(
            f"{source}: the hub cannot be reached ({_shorten(error)}); try again with a network, "
            "or name a folder, as in hf:./folder"
        ) from error
    except datasets.exceptions.DatasetNotFoundError as error:
        raise DataError(
            f"{source}: no such set, neither on the hub nor as a folder; its page there shows the "
            "name, as in hf:stanfordnlp/imdb"
        ) from error
    except Exception as error:  # of the set's files, its configurations, the machine
        raise DataError(f"{source}: datasets cannot read it: {_shorten(error)}") from error


def _shorten(error: Exception) -> str:
    words = " ".join(str(error).split()) or type(error).__name__
    return (words if len(words) <= 300 else words[:300] + "…").rstrip(".")
