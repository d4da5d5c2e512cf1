"""Text and tensors in files: each is written beside its place and renamed, and none is a pickle."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from heed.model.errors import DataError
from heed.model.paths import cannot_write

Parts = dict[str, dict[str, Tensor]]


def write_text(path: Path, content: str) -> None:
    """Write a text; raises `DataError` where that cannot be done."""
    ngram_logits = path.with_name(f".{path.name}")
    try:
        ngram_logits.write_text(content, encoding="utf-8")
        ngram_logits.replace(path)
    except OSError as error:
        raise cannot_write(path.parent, error) from error


def write_tensors(path: Path, parts: Parts, counters: dict[str, Any]) -> None:
    """Write tensors by part and name, and counters as JSON; raises `DataError` as `write_text`."""
    ngram_logits = path.with_name(f".{path.name}")
    named = {
        f"{part}.{name}": tensor.contiguous()
        for part, tensors in parts.items()
        for name, tensor in tensors.items()
    }
    try:
        save_file(named, ngram_logits, {"state": json.dumps(counters)})
        ngram_logits.replace(path)
    except OSError as error:
        raise cannot_write(path.parent, error) from error


def read_tensors(path: Path) -> tuple[Parts, dict[str, Any]]:
    """What `write_tensors` wrote.

    Raises:
        DataError: the file cannot be read, or is damaged.
    """
    parts: Parts = {}
    try:
        path.open("rb").close()  # the library says of any file that cannot be read: not there
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        with safe_open(path, framework="pt") as file:
            for key in file.keys():  # noqa: SIM118, it is no mapping
                part, _, name = key.partition(".")
                parts.setdefault(part, {})[name] = file.get_tensor(key)
            counters = json.loads(file.metadata()["state"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise damaged(path, error) from error
    return parts, counters


def damaged(path: Path, reason: object) -> DataError:
    """What to tell of a file that is not what was written there."""
    first = str(reason).partition("\n")[0]
    return DataError(f"{path}: damaged: {first}; begin anew with --force")
