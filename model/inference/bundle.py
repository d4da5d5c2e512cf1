"""The bundle: the folder that training writes and serving reads. Needs no PyTorch.

Nothing in it is a pickle, and loading it runs no code from it. `Bundle.load` reads the bytes
once, checks them against the hashes in `config.json` and keeps them, so that what was verified
is what runs.
"""

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from heed.model.errors import BundleError, DataError
from heed.model.paths import cannot_write, check_replaceable
from heed.model.text.tokenizer import PADDING, Tokenizer

MODEL, TOKENIZER, CONFIG, CARD = "model.onnx", "tokenizer.json", "config.json", "README.md"

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Version = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class BundleConfig(BaseModel):
    """`config.json`: what a bundle is and what is known of it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: Literal[1]
    name: Name
    version: Version
    labels: Annotated[list[Annotated[str, StringConstraints(min_length=1)]], Field(min_length=2)]
    """In the order of the network's outputs."""
    max_tokens: Annotated[int, Field(ge=1)]
    bias: list[Finite]
    """The constant part of each label's logit."""
    temperature: Annotated[Finite, Field(gt=0)]
    """Probabilities are softmax(logits / temperature)."""
    min_confidence: Annotated[Finite, Field(ge=0, le=1)] | None
    """Below this probability the answer is no label; None: never."""
    sha256: dict[str, str]
    network: dict[str, Any] = {}
    training: dict[str, Any] = {}
    scores: dict[str, Any] = {}
    tools: dict[str, Any] = {}

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("labels must differ from each other")
        if len(self.bias) != len(self.labels):
            raise ValueError(f"bias has {len(self.bias)} numbers for {len(self.labels)} labels")
        return self


@dataclass(frozen=True)
class Bundle:
    """A verified bundle, read into memory."""

    path: Path
    config: BundleConfig
    tokenizer: Tokenizer
    model: bytes
    """The ONNX file's content."""

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read and verify a bundle folder.

        The tensor shapes are checked where a session is made of it, in `Classifier`.

        Raises:
            BundleError: a file is missing or does not fit the others.
        """
        if not _is_bundle(path) and (held := _bundles_in(path)):
            raise BundleError(f"{path}: holds bundles and is none; name one of them, say {held[0]}")
        config = _read_config(path)
        content = {}
        for name in (MODEL, TOKENIZER):
            content[name] = _read(path, name)
            digest = hashlib.sha256(content[name]).hexdigest()
            if digest != config.sha256.get(name):
                raise BundleError(
                    f"{path / name}: its SHA-256 is not the one in {CONFIG}; the file was changed "
                    "or damaged: copy the bundle again"
                )
        try:
            tokenizer = Tokenizer.from_json(content[TOKENIZER].decode())
        except Exception as error:  # the library raises a bare Exception
            raise BundleError(
                f"{path / TOKENIZER}: not a tokenizer that can be read: {error}"
            ) from error
        for literal in (PADDING, tokenizer.padding_literal):
            if 0 in tokenizer.ids(literal):
                raise BundleError(
                    f"{path / TOKENIZER}: the text {literal!r} yields id 0, which is padding"
                )
        return cls(path, config, tokenizer, content[MODEL])


def find_bundles(path: Path) -> dict[str, Bundle]:
    """Load `path` itself if it is a bundle, else every bundle directly below it, by name.

    Raises:
        BundleError: there is none, one is refused, or two have the same name.
    """
    try:
        if not path.is_dir():
            raise BundleError(f"{path}: no such folder; name a bundle or a folder of bundles")
        folders = [path] if _is_bundle(path) else _bundles_in(path)
    except OSError as error:
        raise BundleError(f"{error.filename}: cannot be read: {error.strerror}") from error
    if not folders:
        raise BundleError(f"{path}: no bundle in it; `heed train DATA --out {path}/NAME` makes one")
    bundles: dict[str, Bundle] = {}
    for folder in folders:
        bundle = Bundle.load(folder)
        if bundle.config.name in bundles:
            other = bundles[bundle.config.name].path
            raise BundleError(f"{folder}: its name {bundle.config.name!r} is also that of {other}")
        bundles[bundle.config.name] = bundle
    return bundles


def write_bundle(
    path: Path,
    config: dict[str, Any],
    model: bytes,
    tokenizer: str,
    card: str,
    *,
    force: bool = False,
) -> Bundle:
    """Write a bundle folder in one step and load it again; `sha256` is filled in.

    It is made beside its place and renamed, so that a kill leaves no half bundle.

    Raises:
        DataError: the place is taken and `force` is not set.
        BundleError: what was written does not load.
    """
    check_free(path, force=force)
    place = Path(os.path.realpath(path))
    files = {MODEL: model, TOKENIZER: tokenizer.encode()}
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    document = json.dumps(config | {"sha256": hashes}, indent=2, ensure_ascii=False)
    files |= {CONFIG: document.encode() + b"\n", CARD: card.encode()}
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{place.name}-", dir=place.parent) as scratch:
            made, old = Path(scratch) / "bundle", Path(scratch) / "old"
            made.mkdir()
            for name, content in files.items():
                (made / name).write_bytes(content)
            Bundle.load(made)
            _put(made, place, old)
    except OSError as error:
        raise cannot_write(path, error) from error
    return Bundle.load(path)


def _put(made: Path, place: Path, old: Path) -> None:
    """Rename `made` to `place`; what is there goes to `old`, and comes back where that fails.

    A folder of a container's image cannot be renamed, so it is copied.
    """
    try:
        if place.exists():
            shutil.move(place, old)
        made.rename(place)
    except OSError:
        if old.exists():
            shutil.copytree(old, place, dirs_exist_ok=True)
        raise


def check_free(path: Path, *, force: bool) -> None:
    """Raise `DataError` when a bundle may not, or cannot, be written at `path`."""
    check_replaceable(path)
    try:
        free = not path.exists() or (path.is_dir() and not any(path.iterdir()))
        taken_by_other = not free and not (path / CONFIG).exists()
    except OSError as error:
        raise cannot_write(path, error) from error
    if free:
        return
    if taken_by_other:
        raise DataError(f"{path}: exists and is not a bundle; name another place with --out")
    if not force:
        raise DataError(
            f"{path}: a bundle is there already; name another --out, or add --force to replace it"
        )


def _is_bundle(path: Path) -> bool:
    return (path / CONFIG).exists() or (path / MODEL).exists()


def _bundles_in(path: Path) -> list[Path]:
    return sorted(filter(_is_bundle, path.iterdir())) if path.is_dir() else []


def _read(path: Path, name: str) -> bytes:
    try:
        return (path / name).read_bytes()
    except OSError as error:
        raise BundleError(f"{path / name}: cannot be read: {error.strerror}") from error


def _read_config(path: Path) -> BundleConfig:
    try:
        tree = json.loads(_read(path, CONFIG))
        json.dumps(tree, ensure_ascii=False).encode()  # half of a surrogate pair has no bytes
        if isinstance(tree, dict) and tree.get("format", 1) != 1:
            raise BundleError(
                f"{path / CONFIG}: format {tree['format']!r} is not 1, the one this Heed reads"
            )
        return BundleConfig.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise BundleError(f"{path / CONFIG}: {place + ': ' if place else ''}{message}") from error
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path / CONFIG}: not JSON that can be read: {error}") from error
