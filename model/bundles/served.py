"""Choose which bundles of a folder are served under which names, and look them up.

Loads neither onnxruntime nor tokenizers, so that a supervisor process can use it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from packaging.version import InvalidVersion, Version

T = TypeVar("T")
U = TypeVar("U")


@dataclass(frozen=True, order=True)
class ModelId:
    """A version of a model."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


@dataclass(frozen=True)
class Candidate:
    """A bundle that could be served."""

    id: ModelId
    folder: Path


class ModelTable(Mapping[str, T], Generic[T]):
    """Served models, by `name` (its default version) or `name@version`.

    As a mapping it has one key a name. `versions` has all versions.
    """

    def __init__(self, versions: Mapping[ModelId, T], defaults: Mapping[str, str]) -> None:
        """Use these models.

        Args:
            versions: each model, by its id.
            defaults: the version that a name without a version means.
        """
        self.versions = dict(sorted(versions.items()))
        self.defaults = dict(sorted(defaults.items()))

    def __getitem__(self, key: str) -> T:
        """Return the model `name` or `name@version`. Raises `KeyError`."""
        name, _, version = key.partition("@")
        return self.versions[ModelId(name, version or self.defaults[name])]

    def __iter__(self) -> Iterator[str]:
        return iter(self.defaults)

    def __len__(self) -> int:
        return len(self.defaults)

    def map(self, function: Callable[[T], U]) -> "ModelTable[U]":
        """Return the table of the function's results, with the same names and versions."""
        results = {id_: function(model) for id_, model in self.versions.items()}
        return ModelTable(results, self.defaults)


def choose_served(candidates: Iterable[Candidate]) -> tuple[ModelTable[Path], list[str]]:
    """Choose the folder that serves each name and version, and the default version of each name.

    If two folders have one name and version, the folder with the name of the bundle is served, else
    the first one. The default version is the highest in the order of PEP 440. If a version has
    another form, it is that of the folder with the name of the bundle; without such a folder, the
    highest that has the form, else the first one.

    Returns the folders, and one line for the log for each bundle that is not served.
    """
    versions: dict[ModelId, Path] = {}
    skipped = []
    for candidate in sorted(candidates, key=_own_folder_first):
        served = versions.setdefault(candidate.id, candidate.folder)
        if served != candidate.folder:
            skipped.append(
                f"{candidate.folder}: skipped, because {served} has the same name and version, "
                f"{candidate.id.name!r} {candidate.id.version!r}"
            )
    of_name: dict[str, list[Candidate]] = {}
    for id_, folder in versions.items():
        of_name.setdefault(id_.name, []).append(Candidate(id_, folder))
    defaults = {name: _default_version(found) for name, found in of_name.items()}
    return ModelTable(versions, defaults), skipped


def _own_folder_first(candidate: Candidate) -> tuple[bool, Path]:
    return candidate.folder.name != candidate.id.name, candidate.folder


def _default_version(candidates: list[Candidate]) -> str:
    """Return the version that a name means; `candidates` begins with the folder of that name."""
    parsed = {}
    for candidate in candidates:
        try:
            parsed[candidate.id.version] = Version(candidate.id.version)
        except InvalidVersion:
            continue
    first = candidates[0]
    if not parsed or (len(parsed) < len(candidates) and first.folder.name == first.id.name):
        return first.id.version
    return max(parsed, key=parsed.__getitem__)
