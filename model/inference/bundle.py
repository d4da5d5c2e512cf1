"""Read and write bundles: the folders that training writes and serving reads. Needs no PyTorch.

A bundle contains no pickle, and loading it runs no code from it. `Bundle.load` reads each file
once, checks it against the hash in `config.json` and keeps its bytes, so that exactly the checked
bytes run.
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
from heed.model.text import PADDING, Tokenizer

MODEL, TOKENIZER, CONFIG, CARD = "model.onnx", "tokenizer.json", "config.json", "README.md"

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Version = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class BundleConfig(BaseModel):
    """The content of `config.json`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    format: Literal[1]
    name: Name
    version: Version
    labels: Annotated[list[Annotated[str, StringConstraints(min_length=1)]], Field(min_length=2)]
    """In the order of the outputs of the network."""
    max_tokens: Annotated[int, Field(ge=1)]
    """Number of tokens of a text that the network reads."""
    bias: list[Finite]
    """Constant term of the logit of each label."""
    temperature: Annotated[Finite, Field(gt=0)]
    """Probabilities are softmax(logits / temperature)."""
    min_confidence: Annotated[Finite, Field(ge=0, le=1)] | None
    """Below this probability the answer has no label; None: it always has one."""
    sha256: dict[str, str]
    """Hash of each file, by its name."""
    network: dict[str, Any] = {}
    """Sizes of the network."""
    training: dict[str, Any] = {}
    """Data, options and date of the training."""
    scores: dict[str, Any] = {}
    """Scores on dev and test."""
    tools: dict[str, Any] = {}
    """Versions of the libraries."""

    @model_validator(mode="after")
    def _check_labels(self) -> Self:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("labels must differ from each other")
        if len(self.bias) != len(self.labels):
            raise ValueError(f"bias has {len(self.bias)} numbers for {len(self.labels)} labels")
        return self


@dataclass(frozen=True)
class Bundle:
    """A bundle in memory, checked against its hashes."""

    path: Path
    config: BundleConfig
    tokenizer: Tokenizer
    model: bytes
    """Content of the ONNX file."""

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a bundle folder and check it; `Session` checks the tensors of the network.

        Raises:
            BundleError: a file is missing, damaged or does not fit the others.
        """
        try:
            bundles = [] if _is_bundle(path) else _bundles_in(path)
        except OSError as error:
            raise _cannot_read(error) from error
        if bundles:
            raise BundleError(
                f"{path}: is a folder of bundles, not a bundle; name one of them, such as "
                f"{bundles[0]}"
            )
        config = _read_config(path)
        content = {}
        for name in (MODEL, TOKENIZER):
            content[name] = _read(path, name)
            digest = hashlib.sha256(content[name]).hexdigest()
            if digest != config.sha256.get(name):
                raise BundleError(
                    f"{path / name}: its SHA-256 is not the one in {CONFIG}, so the file was "
                    "changed or damaged; copy the bundle again"
                )
        try:
            tokenizer = Tokenizer.from_json(content[TOKENIZER].decode())
        except Exception as error:  # the library raises a bare Exception
            raise BundleError(
                f"{path / TOKENIZER}: not a valid tokenizer ({error}); export the bundle again"
            ) from error
        for literal in (PADDING, tokenizer.padding_literal):
            if 0 in tokenizer.ids(literal):
                raise BundleError(
                    f"{path / TOKENIZER}: the text {literal!r} yields id 0, which is reserved for "
                    "padding; rename the token with id 0"
                )
        return cls(path, config, tokenizer, content[MODEL])


def find_bundles(path: Path) -> dict[str, Bundle]:
    """Load `path` if it is a bundle, else all bundles directly below it. Returns them by name.

    Raises:
        BundleError: there is no bundle, a bundle is not valid, or two have the same name.
    """
    try:
        if not path.is_dir():
            raise BundleError(f"{path}: no such folder; name a bundle or a folder of bundles")
        folders = [path] if _is_bundle(path) else _bundles_in(path)
    except OSError as error:
        raise _cannot_read(error) from error
    if not folders:
        raise BundleError(
            f"{path}: contains no bundle; make one with `heed train DATA --out {path}/NAME`"
        )
    bundles: dict[str, Bundle] = {}
    for folder in folders:
        bundle = Bundle.load(folder)
        if bundle.config.name in bundles:
            other = bundles[bundle.config.name].path
            raise BundleError(
                f"{folder}: has the same name {bundle.config.name!r} as {other}; remove one of them"
            )
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
    """Write a bundle folder and load it again.

    The folder is written under a temporary name and renamed, so that a killed process leaves no
    incomplete bundle.

    Args:
        path: the folder to write.
        config: the content of `config.json`; `sha256` is filled in.
        model: the content of `model.onnx`.
        tokenizer: the content of `tokenizer.json`.
        card: the content of `README.md`.
        force: replace an existing bundle.

    Raises:
        DataError: `path` exists and may not be replaced, or cannot be written.
        BundleError: the new bundle is not valid.
    """
    check_free(path, force=force)
    target = Path(os.path.realpath(path))
    files = {MODEL: model, TOKENIZER: tokenizer.encode()}
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    document = json.dumps(config | {"sha256": hashes}, indent=2, ensure_ascii=False)
    files |= {CONFIG: document.encode() + b"\n", CARD: card.encode()}
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as scratch:
            new, old = Path(scratch) / "bundle", Path(scratch) / "old"
            new.mkdir()
            for name, content in files.items():
                (new / name).write_bytes(content)
            Bundle.load(new)
            _replace(target, new, old)
    except OSError as error:
        raise cannot_write(path, error) from error
    return Bundle.load(path)


def _replace(target: Path, new: Path, old: Path) -> None:
    """Move `target` to `old` and rename `new` to `target`; restore `target` if that fails.

    `shutil.move` copies a folder that cannot be renamed, such as one of a container image.
    """
    try:
        if target.exists():
            shutil.move(target, old)
        new.rename(target)
    except OSError:
        if old.exists():
            shutil.copytree(old, target, dirs_exist_ok=True)
        raise


def check_free(path: Path, *, force: bool) -> None:
    """Raise `DataError` if a bundle cannot be written to `path`, or may not replace what exists."""
    check_replaceable(path)
    try:
        free = not path.exists() or (path.is_dir() and not any(path.iterdir()))
        is_other = not free and not (path / CONFIG).exists()
    except OSError as error:
        raise cannot_write(path, error) from error
    if free:
        return
    if is_other:
        raise DataError(f"{path}: exists and is not a bundle; choose another folder with --out")
    if not force:
        raise DataError(
            f"{path}: a bundle already exists there; choose another --out, or add --force"
        )


def _cannot_read(error: OSError) -> BundleError:
    return BundleError(
        f"{error.filename}: cannot be read: {error.strerror}; check the path and its permissions"
    )


def _is_bundle(path: Path) -> bool:
    return (path / CONFIG).exists() or (path / MODEL).exists()


def _bundles_in(path: Path) -> list[Path]:
    return sorted(filter(_is_bundle, path.iterdir())) if path.is_dir() else []


def _read(path: Path, name: str) -> bytes:
    try:
        return (path / name).read_bytes()
    except OSError as error:
        raise BundleError(
            f"{path / name}: cannot be read: {error.strerror}; copy the bundle again"
        ) from error


def _read_config(path: Path) -> BundleConfig:
    try:
        tree = json.loads(_read(path, CONFIG))
        json.dumps(tree, ensure_ascii=False).encode()  # UTF-8 cannot encode a lone surrogate
        if isinstance(tree, dict) and tree.get("format", 1) != 1:
            raise BundleError(
                f"{path / CONFIG}: format {tree['format']!r} is not supported; this version "
                "of Heed reads format 1"
            )
        return BundleConfig.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise BundleError(f"{path / CONFIG}: {field + ': ' if field else ''}{message}") from error
    except (ValueError, RecursionError) as error:
        raise BundleError(
            f"{path / CONFIG}: not valid JSON ({error}); copy the bundle again"
        ) from error
