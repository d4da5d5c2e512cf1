"""The bundles and API keys that are served: read by the supervisor, the same for every worker.

The supervisor keeps the files of bundles in memory files. A worker reads them from there, so one
that replaces another serves the same set, whatever the disk has now.
"""

import os
import tempfile
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from heed.model.bundles import (
    BundleFiles,
    Candidate,
    FolderReading,
    ModelId,
    ModelTable,
    choose_served,
)
from heed.model.errors import BundleError

Location = tuple[int, int]
"""Offset and length of a file in a memory file."""


@dataclass(frozen=True)
class StoredBundle:
    """The files of a bundle, in one memory file that nobody can change."""

    folder: Path
    id: ModelId
    fingerprint: str
    files: Mapping[str, Location]
    fd: int

    @classmethod
    def store(cls, files: BundleFiles) -> Self:
        """Copy files to a new memory file."""
        fd = _create_file()
        locations = {}
        offset = 0
        with os.fdopen(os.dup(fd), "wb") as file:
            for name, content in files.content.items():
                file.write(content)
                locations[name] = (offset, len(content))
                offset += len(content)
        _seal(fd)
        return cls(files.path, id_of(files), files.fingerprint, locations, fd)

    @property
    def key(self) -> str:
        """Text that differs if a file or the folder differs."""
        return f"{self.fingerprint} {self.folder}"

    def read(self) -> BundleFiles:
        """Return the files, checked. Raises `BundleError`."""
        content = {
            name: _read(self.fd, offset, length) for name, (offset, length) in self.files.items()
        }
        return BundleFiles.from_content(self.folder, content)

    def close(self) -> None:
        """Close the memory file."""
        os.close(self.fd)

    def to_json(self) -> dict[str, Any]:
        """Return what a worker needs to read the bundle."""
        return {
            "folder": str(self.folder),
            "id": [self.id.name, self.id.version],
            "fingerprint": self.fingerprint,
            "files": self.files,
            "fd": self.fd,
        }

    @classmethod
    def from_json(cls, fields: Mapping[str, Any], fd: int | None = None) -> Self:
        """Return the bundle that `to_json` described; `fd` is its descriptor in this process."""
        id_ = ModelId(*fields["id"])
        fd = fields["fd"] if fd is None else fd
        return cls(Path(fields["folder"]), id_, fields["fingerprint"], fields["files"], fd)


@dataclass(frozen=True)
class ServedSet:
    """What every worker serves."""

    bundles: Mapping[Path, StoredBundle] = field(default_factory=dict)
    """By folder."""
    defaults: Mapping[str, str] = field(default_factory=dict)
    """The version that a name without a version means."""
    errors: Mapping[Path, str] = field(default_factory=dict)
    """Why the current content of a served bundle's folder was refused."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """Labels of the API keys, by the SHA-256 of the key in hexadecimal."""

    def to_json(self) -> dict[str, Any]:
        """Return what workers need."""
        return {
            "bundles": [bundle.to_json() for bundle in self.bundles.values()],
            "defaults": self.defaults,
            "errors": {str(self.bundles[path].id): error for path, error in self.errors.items()},
            "keys": self.keys,
        }


@dataclass(frozen=True)
class Plan:
    """The set to serve next."""

    kept: Mapping[Path, StoredBundle]
    """Bundles that are served now and then."""
    new: Mapping[Path, BundleFiles]
    """Bundles to load."""
    defaults: Mapping[str, str]
    errors: Mapping[Path, str]
    log: list[str]
    """Lines about bundles that are not served."""


def plan_set(served: ServedSet, reading: FolderReading, absent: Collection[Path] = ()) -> Plan:
    """Decide what to serve after a reading of the bundle folder.

    A bundle that was refused, or was not found, is served as before. One in `absent` is not.
    """
    found = {files.path: files for files in reading.bundles}
    candidates: dict[Path, StoredBundle | BundleFiles] = {
        folder: bundle
        for folder, bundle in served.bundles.items()
        if folder not in absent and folder not in found
    }
    for folder, files in found.items():
        old = served.bundles.get(folder)
        same = old is not None and old.fingerprint == files.fingerprint
        candidates[folder] = old if old is not None and same else files
    table, lines = choose_served(
        Candidate(id_of(bundle), folder) for folder, bundle in candidates.items()
    )
    chosen = {folder: candidates[folder] for folder in table.versions.values()}
    kept = {f: bundle for f, bundle in chosen.items() if isinstance(bundle, StoredBundle)}
    return Plan(
        kept,
        {f: bundle for f, bundle in chosen.items() if isinstance(bundle, BundleFiles)},
        table.defaults,
        {folder: str(error) for folder, error in reading.refused.items() if folder in kept},
        reading.skipped + lines,
    )


def refuse(reading: FolderReading, errors: Mapping[Path, BundleError]) -> FolderReading:
    """Return the reading with these bundles refused."""
    bundles = [files for files in reading.bundles if files.path not in errors]
    return replace(reading, bundles=bundles, refused=reading.refused | dict(errors))


def table_of(described: Mapping[str, Any]) -> ModelTable[str]:
    """Return the keys of bundles by name and version, from `ServedSet.to_json`."""
    bundles = [StoredBundle.from_json(fields) for fields in described["bundles"]]
    return ModelTable({bundle.id: bundle.key for bundle in bundles}, described["defaults"])


def id_of(bundle: StoredBundle | BundleFiles) -> ModelId:
    """Return the name and version of a bundle."""
    if isinstance(bundle, StoredBundle):
        return bundle.id
    return ModelId(bundle.config.name, bundle.config.version)


def _create_file() -> int:
    if hasattr(os, "memfd_create"):  # the disk of a container may be read-only
        return os.memfd_create("heed-bundle", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with tempfile.TemporaryFile() as temporary:
        return os.dup(temporary.fileno())


def _seal(fd: int) -> None:
    """Forbid changes, where the system can."""
    with suppress(ImportError, OSError):
        from fcntl import F_ADD_SEALS, F_SEAL_GROW, F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_WRITE, fcntl

        fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_WRITE | F_SEAL_SEAL)


def _read(fd: int, offset: int, length: int) -> bytes:
    parts = []
    while length:
        part = os.pread(fd, min(length, 1 << 30), offset)
        parts.append(part)
        offset += len(part)
        length -= len(part)
    return b"".join(parts)
