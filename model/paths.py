"""Check that a path can be written before a long computation, and convert paths to UTF-8 text."""

import os
import tempfile
from pathlib import Path

from heed.model.errors import DataError


def check_writable(folder: Path) -> None:
    """Raise `DataError` if files cannot be written to a folder, or the folder cannot be made."""
    try:
        existing = Path(os.path.realpath(folder))
        while not existing.exists():
            existing = existing.parent
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise cannot_write(folder, error) from error


def check_replaceable(folder: Path) -> None:
    """Raise `DataError` if a folder cannot be replaced by renaming another folder to its path."""
    target = Path(os.path.realpath(folder))
    check_writable(target.parent)
    if os.path.ismount(target) or target == Path.cwd():
        kind = "a mount point" if os.path.ismount(target) else "the current folder"
        raise DataError(f"{folder}: is {kind}, which cannot be replaced; name a folder inside it")


def cannot_write(path: Path, error: OSError) -> DataError:
    """Return the error for a path that cannot be written to."""
    return DataError(
        f"{path}: cannot be written to: {error.strerror or error}; choose another path"
    )


def as_utf8(text: str) -> str:
    """Replace what UTF-8 cannot encode; file names and arguments may hold any bytes."""
    return text.encode("utf-8", "replace").decode()
