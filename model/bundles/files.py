"""Read the files of bundles into memory and check their hashes.

Loads neither onnxruntime nor tokenizers, so that a supervisor process can read each bundle once and
pass the same bytes to every worker.
"""

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from heed.model.bundles.config import (
    CONFIG,
    MODEL,
    TOKENIZER,
    BundleConfig,
    parse_config,
    sha256,
)
from heed.model.bundles.replacement import SAVED, whole_folder
from heed.model.errors import BundleError

MAX_FILE_BYTES = {CONFIG: 16 << 20, TOKENIZER: 256 << 20}
MAX_OTHER_BYTES = (2 << 30) - 1
"""Maximum size of a network, which is the limit of a protobuf message."""
READ_ATTEMPTS = 20
"""Attempts to read a bundle that is replaced meanwhile."""


@dataclass(frozen=True)
class BundleFiles:
    """The files of a bundle, checked against the hashes in its `config.json`."""

    path: Path
    config: BundleConfig
    content: Mapping[str, bytes]
    """All files but the card, by name."""

    @classmethod
    def from_content(cls, path: Path, content: Mapping[str, bytes]) -> Self:
        """Check files that were read before.

        Args:
            path: of the bundle, for messages.
            content: the files by name, at least those that `config.json` has hashes of.

        Raises:
            BundleError: a file is missing, damaged or not valid.
        """
        config = parse_bundle_config(path, content[CONFIG])
        for name in sorted(config.sha256.keys() - {CONFIG}):
            if name not in content:
                raise BundleError(f"{path / name}: cannot be read; copy the bundle again")
            if sha256(content[name]) != config.sha256[name]:
                raise BundleError(
                    f"{path / name}: its SHA-256 is not the one in {CONFIG}, so the file was "
                    "changed or damaged; copy the bundle again"
                )
        return cls(path, config, dict(content))

    @property
    def fingerprint(self) -> str:
        """Hash that differs if any file differs: `config.json` has the hashes of the others."""
        return sha256(self.content[CONFIG])


@dataclass(frozen=True)
class FolderReading:
    """What one reading of a bundle folder gave."""

    bundles: list[BundleFiles]
    """In the order of their folders' names."""
    refused: dict[Path, BundleError]
    """Why a bundle was refused, by its folder."""
    skipped: list[str]
    """One line for each folder that was skipped, for the log."""


def read_bundle_files(path: Path, root: Path | None = None) -> BundleFiles:
    """Read the files of one bundle and check their hashes.

    A file is a regular file, or a link to a regular file below `root`. A bundle that is replaced
    during the reading is read again, so that all files are of one bundle.

    Args:
        path: the folder of the bundle.
        root: the folder of bundles; by default the bundle itself.

    Raises:
        BundleError: a file is missing, damaged, not valid or not a regular file.
    """
    for attempt in range(READ_ATTEMPTS):
        folder = whole_folder(path)
        before = _identity(folder)
        try:
            return BundleFiles.from_content(path, _read_content(path, folder, root or path))
        except BundleError:
            if attempt == READ_ATTEMPTS - 1 or _identity(whole_folder(path)) == before:
                raise
    raise AssertionError  # the last attempt returns or raises


def read_bundle_folder(root: Path) -> FolderReading:
    """Read `root` if it is a bundle, else all bundles directly below it.

    Raises:
        BundleError: `root` cannot be read.
    """
    folders, skipped = find_bundle_folders(root)
    bundles, refused = [], {}
    for folder in folders:
        try:
            bundles.append(read_bundle_files(folder, root))
        except BundleError as error:
            refused[folder] = error
    return FolderReading(bundles, refused, skipped)


def find_bundle_folders(root: Path) -> tuple[list[Path], list[str]]:
    """Return `[root]` if it is a bundle, else the folders of bundles below it, by name.

    Also returns one line for each folder that is skipped: hidden folders, `lost+found` and folders
    that cannot be read.

    Raises:
        BundleError: `root` cannot be read.
    """
    try:
        if is_bundle(root):
            return [root], []
        with os.scandir(root) as entries:
            names = sorted(entry.name for entry in entries)
    except OSError as error:
        raise cannot_read(error) from error
    folders: set[Path] = set()
    skipped = []
    for name in names:
        folder = root / name
        try:
            if name.startswith(".") or name == "lost+found":
                if (target := _interrupted_write(folder)) is not None:
                    folders.add(target)
                elif folder.is_dir():
                    skipped.append(f"{folder}: skipped, because of its name")
            elif is_bundle(folder):
                folders.add(folder)
        except OSError as error:
            skipped.append(f"{folder}: skipped, because it cannot be read: {error.strerror}")
    return sorted(folders), skipped


def is_bundle(path: Path) -> bool:
    """Return whether a folder holds a bundle, complete or not.

    Raises:
        OSError: the folder cannot be read.
    """
    folder = whole_folder(path)
    return _exists(folder / CONFIG) or _exists(folder / MODEL)


def _interrupted_write(saved: Path) -> Path | None:
    """Return the bundle that `saved` stands for; None if `saved` is another folder."""
    if not saved.name.endswith(SAVED):
        return None
    target = saved.with_name(saved.name.removeprefix(".").removesuffix(SAVED))
    return target if target != saved.parent and whole_folder(target) == saved else None


def _exists(path: Path) -> bool:
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def _identity(folder: Path) -> object:
    """Return a value that changes when the bundle in a folder is replaced."""
    try:
        stats = folder.stat(), (folder / CONFIG).stat()
    except OSError:
        return None
    return [(info.st_dev, info.st_ino, info.st_mtime_ns) for info in stats]


def _read_content(path: Path, folder: Path, root: Path) -> dict[str, bytes]:
    """Read `config.json` and the files that it has hashes of.

    Args:
        path: of the bundle, for messages.
        folder: where its files are.
        root: links may lead to files below it.
    """
    try:
        # All files are read through one descriptor, so that they are of one bundle even if
        # another folder is renamed to this path.
        directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise _cannot_read_file(path / CONFIG, error) from error
    try:
        content = {}
        for name in (CONFIG, MODEL, TOKENIZER):
            content[name] = _read_file(directory, path, folder, name, root)
        for name in parse_bundle_config(path, content[CONFIG]).sha256.keys() - content.keys():
            content[name] = _read_file(directory, path, folder, name, root)
        return content
    finally:
        os.close(directory)


def _read_file(directory: int, path: Path, folder: Path, name: str, root: Path) -> bytes:
    limit = MAX_FILE_BYTES.get(name, MAX_OTHER_BYTES)
    try:
        # `stat` comes first, because opening a pipe waits and opening a device has effects.
        info = os.stat(name, dir_fd=directory)
        if not stat.S_ISREG(info.st_mode):
            raise BundleError(f"{path / name}: is not a regular file; copy the bundle again")
        if stat.S_ISLNK(os.lstat(name, dir_fd=directory).st_mode):
            real = Path(os.path.realpath(folder / name))
            if not any(real.is_relative_to(os.path.realpath(base)) for base in (root, folder)):
                raise BundleError(
                    f"{path / name}: links to {real}, which is outside {root}; copy the file to "
                    "the bundle"
                )
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
        with os.fdopen(os.open(name, flags, dir_fd=directory), "rb") as file:
            if not os.path.samestat(info, os.fstat(file.fileno())):
                raise BundleError(f"{path / name}: was replaced during the reading; try again")
            content = file.read(min(limit, info.st_size) + 1)
    except OSError as error:
        raise _cannot_read_file(path / name, error) from error
    if len(content) > limit:
        raise BundleError(
            f"{path / name}: has more than {limit:,} bytes, which is the maximum; export the "
            "bundle again"
        )
    return content


def parse_bundle_config(path: Path, content: bytes) -> BundleConfig:
    """Parse the `config.json` of the bundle `path`. Raises `BundleError`."""
    try:
        return parse_config(content)
    except ValueError as error:
        raise BundleError(f"{path / CONFIG}: {error}") from error


def cannot_read(error: OSError) -> BundleError:
    """Return the error for a folder that cannot be read."""
    return BundleError(
        f"{error.filename}: cannot be read: {error.strerror}; check the path and its permissions"
    )


def _cannot_read_file(path: Path, error: OSError) -> BundleError:
    return BundleError(f"{path}: cannot be read: {error.strerror}; copy the bundle again")
