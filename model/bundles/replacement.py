"""Replace a bundle folder so that a kill at any moment leaves a whole bundle.

The best method that the file system has is used:

1. If nothing is at the path, a rename.
2. An exchange of both folders, which Linux does at once (`renameat2`, `RENAME_EXCHANGE`).
3. Two renames. Between them the old bundle is in `.NAME.saved`.
4. A copy of the files, `config.json` last. Meanwhile a whole bundle is in `.NAME.saved`. Object
   stores and lower layers of a container image cannot rename folders.

Every reader calls `whole_folder(path)`, so it finds the bundle after a kill, too.
"""

import ctypes
import errno
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from heed.model.bundles.config import CONFIG

SAVED = ".saved"
AT_FDCWD, RENAME_EXCHANGE = -100, 2

Method = Callable[[Path, Path], None]
"""Puts a new folder, the first path, in the place of the second path. Raises `OSError`."""


def saved_folder(target: Path) -> Path:
    """Return the folder that keeps a whole bundle while `target` is replaced."""
    real = Path(os.path.realpath(target))
    return real.with_name(f".{real.name}{SAVED}") if real.name else real


def whole_folder(path: Path) -> Path:
    """Return the folder to read the bundle `path` from.

    It is `path`, unless a kill left `path` without `config.json` and a whole bundle next to it.
    """
    saved = saved_folder(path)
    if not os.path.lexists(path / CONFIG) and os.path.lexists(saved / CONFIG):
        return saved
    return path


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files to an existing folder and wait until the disk has them, `config.json` last."""
    for name in sorted(files, key=lambda name: name == CONFIG):
        with (folder / name).open("wb") as file:
            file.write(files[name])
            file.flush()
            os.fsync(file.fileno())


def rename(new: Path, target: Path) -> None:
    """Rename `new` to a path with nothing or an empty folder."""
    new.rename(target)


def exchange(new: Path, target: Path) -> None:
    """Exchange both folders at once."""
    function = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if function is None or sys.platform != "linux":
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    paths = os.fsencode(new), os.fsencode(target)
    if function(AT_FDCWD, paths[0], AT_FDCWD, paths[1], RENAME_EXCHANGE) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def rename_twice(new: Path, target: Path) -> None:
    """Rename `target` to a saved folder, then `new` to `target`."""
    saved = saved_folder(target)
    if whole_folder(target) == target:
        remove_folder(saved)
        aside = saved
    else:  # `target` is not whole, so the saved folder stays
        aside = new.with_name("incomplete")
    target.rename(aside)
    try:
        new.rename(target)
    except OSError:
        aside.rename(target)
        raise


def copy_files(new: Path, target: Path) -> None:
    """Copy the files of `new` to `target`, with a second copy in the saved folder meanwhile."""
    files = {file.name: file.read_bytes() for file in new.iterdir()}
    saved = saved_folder(target)
    if os.path.lexists(target / CONFIG):
        remove_folder(saved)
        saved.mkdir()
        write_files(saved, files)
    target.mkdir(exist_ok=True)
    (target / CONFIG).unlink(missing_ok=True)
    for entry in target.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    write_files(target, {name: content for name, content in files.items() if name != CONFIG})
    part = f"{CONFIG}.part"
    write_files(target, {part: files[CONFIG]})
    try:
        (target / part).replace(target / CONFIG)
    except OSError:  # not even files can be renamed
        write_files(target, {CONFIG: files[CONFIG]})
        (target / part).unlink()


METHODS: tuple[Method, ...] = (rename, exchange, rename_twice, copy_files)


def replace_folder(new: Path, target: Path, methods: Sequence[Method] = METHODS) -> None:
    """Put the folder `new` in the place of `target`, by the first method that works.

    Afterwards, `new` is gone or holds what `target` held.

    Raises:
        OSError: no method works.
    """
    for method in methods[:-1]:
        with suppress(OSError):
            method(new, target)
            break
    else:
        methods[-1](new, target)
    remove_folder(saved_folder(target))


def remove_folder(folder: Path) -> None:
    """Remove a bundle folder if it exists, `config.json` first, so that no partial one is read."""
    with suppress(FileNotFoundError, NotADirectoryError):
        (folder / CONFIG).unlink()
    shutil.rmtree(folder, ignore_errors=True)
