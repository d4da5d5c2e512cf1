"""Write and read text and tensor files. Writes are atomic, and no file is a pickle."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from heed.model.errors import DataError
from heed.model.paths import cannot_write

TensorGroups = dict[str, dict[str, Tensor]]
"""Tensors by group and name."""
COUNTERS = "counters"
"""Key of the counters in the metadata of a tensor file."""


def write_text(path: Path, content: str) -> None:
    """Write a text file; raises `DataError` if it cannot be written."""
    temporary = path.with_name(f".{path.name}")
    try:
        temporary.write_text(content, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise cannot_write(path.parent, error) from error


def write_tensors(path: Path, groups: TensorGroups, counters: dict[str, Any]) -> None:
    """Write tensors, and counters as JSON; raises `DataError` if they cannot be written."""
    temporary = path.with_name(f".{path.name}")
    tensors = {
        f"{group}.{name}": tensor.contiguous()
        for group, named in groups.items()
        for name, tensor in named.items()
    }
    try:
        save_file(tensors, temporary, {COUNTERS: json.dumps(counters)})
        temporary.replace(path)
    except OSError as error:
        raise cannot_write(path.parent, error) from error


def read_tensors(path: Path) -> tuple[TensorGroups, dict[str, Any]]:
    """Return the tensors and the counters of a file.

    Raises:
        DataError: the file cannot be read, or it is damaged.
    """
    groups: TensorGroups = {}
    try:
        path.open("rb").close()  # safetensors reports every file it cannot open as missing
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        with safe_open(path, framework="pt") as file:
            for key in file.keys():  # noqa: SIM118, not a mapping
                group, _, name = key.partition(".")
                groups.setdefault(group, {})[name] = file.get_tensor(key)
            counters = json.loads(file.metadata()[COUNTERS])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise damaged(path, error) from error
    return groups, counters


def damaged(path: Path, reason: object) -> DataError:
    """Return the error for a file whose content is not valid."""
    first_line = str(reason).partition("\n")[0]
    return DataError(f"{path}: damaged: {first_line}; start again with --force")
