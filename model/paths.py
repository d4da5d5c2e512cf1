"""Where files may be written, asked before hours are spent on what is to be written there."""

import os
import tempfile
from pathlib import Path

from heed.model.errors import DataError


def check_writable(folder: Path) -> None:
    """Raise `DataError` where nothing can be written in a folder, or it cannot be made."""
    try:
        there = Path(os.path.realpath(folder))
        while not there.exists():
            there = there.parent
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        raise cannot_write(folder, error) from error


def check_replaceable(folder: Path) -> None:
    """Raise `DataError` where another folder could not be put in the place of this one."""
    place = Path(os.path.realpath(folder))
    check_writable(place.parent)
    if os.path.ismount(place) or place == Path.cwd():
        kind = "a mount point" if os.path.ismount(place) else "the current folder"
        raise DataError(
            f"{folder}: is {kind}, whose place nothing else can take; name a folder in it"
        )


def cannot_write(path: Path, error: OSError) -> DataError:
    """What to tell of a place that cannot be written to."""
    return DataError(f"{path}: cannot be written to: {error.strerror or error}; name another place")


def as_utf8(text: str) -> str:
    """What can be written of a file's name or an argument, which may be any bytes."""
    return text.encode("utf-8", "replace").decode()
