"""Read and write bundles: the folders that training writes and serving reads. Needs no PyTorch.

A bundle contains no pickle, and loading it runs no code from it. `Bundle.load` reads each file
once, checks it against the hash in `config.json` and keeps its bytes, so that exactly the checked
bytes run.
"""

import logging
import os
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from glob import escape
from pathlib import Path
from typing import Any, Self

from heed.model.bundles import (
    CARD,
    CONFIG,
    FORMAT,
    METHODS,
    MODEL,
    MULTI_LABEL,
    TOKENIZER,
    BundleConfig,
    BundleFiles,
    Candidate,
    Method,
    ModelId,
    ModelTable,
    cannot_read,
    choose_served,
    find_bundle_folders,
    format_config,
    is_bundle,
    read_bundle_files,
    read_bundle_folder,
    remove_folder,
    replace_folder,
    whole_folder,
    write_files,
)
from heed.model.errors import BundleError, DataError
from heed.model.paths import cannot_write, check_replaceable
from heed.model.text import PADDING, Tokenizer

NEW = ".new"
SECONDS_OF_A_WRITE = 3600.0
"""A hidden folder that is older than this was left by a killed process."""

log = logging.getLogger("heed")


@dataclass(frozen=True)
class Bundle:
    """A bundle in memory, checked against its hashes."""

    path: Path
    config: BundleConfig
    tokenizer: Tokenizer
    model: bytes
    """Content of the ONNX file."""
    further: Mapping[str, bytes] = field(default_factory=dict)
    """Content of the other binary files, by name."""

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a bundle folder and check it; `Session` checks the tensors of the network.

        Raises:
            BundleError: a file is missing, damaged or does not fit the others.
        """
        try:
            bundles = [] if is_bundle(path) or not path.is_dir() else find_bundle_folders(path)[0]
        except OSError as error:
            raise cannot_read(error) from error
        if bundles:
            raise BundleError(
                f"{path}: is a folder of bundles, not a bundle; name one of them, such as "
                f"{bundles[0]}"
            )
        return cls.from_files(read_bundle_files(path))

    @classmethod
    def from_files(cls, files: BundleFiles) -> Self:
        """Make a bundle of files that are in memory.

        Raises:
            BundleError: the tokenizer is not valid, or this version of Heed cannot serve the
                bundle.
        """
        path, config = files.path, files.config
        if config.problem_type == MULTI_LABEL or config.text_fields:
            feature = "problem_type" if config.problem_type == MULTI_LABEL else "text_fields"
            raise BundleError(
                f"{path / CONFIG}: {feature}: this version of Heed cannot serve such a bundle; "
                "update Heed"
            )
        try:
            tokenizer = Tokenizer.from_json(files.content[TOKENIZER].decode())
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
        if config.format < FORMAT:
            log.info(
                "%s: has bundle format %d; `heed export %s --out NEW` writes format %d, which "
                "protects config.json by a hash",
                path,
                config.format,
                path,
                FORMAT,
            )
        known = (CONFIG, MODEL, TOKENIZER)
        further = {name: data for name, data in files.content.items() if name not in known}
        return cls(path, config, tokenizer, files.content[MODEL], further)


def find_bundles(path: Path) -> ModelTable[Bundle]:
    """Load `path` if it is a bundle, else all bundles directly below it.

    What is skipped is written to the log.

    Raises:
        BundleError: there is no bundle, or a bundle is not valid.
    """
    try:
        is_folder = is_bundle(path) or path.is_dir()
    except OSError as error:
        raise cannot_read(error) from error
    if not is_folder:
        raise BundleError(f"{path}: no such folder; name a bundle or a folder of bundles")
    reading = read_bundle_folder(path)
    if reading.refused:
        raise next(iter(reading.refused.values()))
    files = {bundle.path: bundle for bundle in reading.bundles}
    table, not_served = choose_served(
        Candidate(ModelId(bundle.config.name, bundle.config.version), folder)
        for folder, bundle in files.items()
    )
    for line in reading.skipped + not_served:
        log.warning("%s", line)
    if not table:
        raise BundleError(
            f"{path}: contains no bundle; make one with `heed train DATA --out {path}/NAME`"
        )
    return table.map(lambda folder: Bundle.from_files(files[folder]))


def write_bundle(
    path: Path,
    config: Mapping[str, Any],
    model: bytes,
    tokenizer: str,
    card: str,
    *,
    further: Mapping[str, bytes] | None = None,
    force: bool = False,
    methods: Sequence[Method] = METHODS,
) -> Bundle:
    """Write a bundle folder and load it again.

    The bundle is checked in memory first. Then it is written to a hidden folder, which takes the
    place of `path`, so that a process killed at any moment leaves the old or the new bundle.

    Args:
        path: the folder to write.
        config: the content of `config.json`; `format` and `sha256` are filled in.
        model: the content of `model.onnx`.
        tokenizer: the content of `tokenizer.json`.
        card: the content of `README.md`.
        further: the other binary files, by name.
        force: replace an existing bundle.
        methods: ways to put a folder in the place of another, the best first.

    Raises:
        DataError: `path` exists and may not be replaced, or cannot be written. The message names
            a temporary folder that has the bundle.
        BundleError: the new bundle is not valid. Nothing was written.
    """
    files = {MODEL: model, TOKENIZER: tokenizer.encode()} | dict(further or {})
    try:
        files[CONFIG] = format_config(config, files)
    except ValueError as error:
        raise BundleError(f"{path / CONFIG}: {error}; train again") from error
    Bundle.from_files(BundleFiles.from_content(path, files))
    files[CARD] = card.encode()
    try:
        check_free(path, force=force)
        _write_folder(Path(os.path.realpath(path)), files, methods)
    except OSError as error:
        raise _keep(files, cannot_write(path, error)) from error
    except DataError as error:
        raise _keep(files, error) from error
    return Bundle.load(path)


def _write_folder(target: Path, files: Mapping[str, bytes], methods: Sequence[Method]) -> None:
    prefix = f".{target.name}."
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(f"{escape(prefix)}*{NEW}"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > SECONDS_OF_A_WRITE:
                remove_folder(left)
    with tempfile.TemporaryDirectory(
        prefix=prefix, suffix=NEW, dir=target.parent, ignore_cleanup_errors=True
    ) as scratch:
        new = Path(scratch) / "bundle"
        new.mkdir()
        write_files(new, files)
        replace_folder(new, target, methods)


def _keep(files: Mapping[str, bytes], refused: DataError) -> DataError:
    """Write the files to a temporary folder, and return the error that also names this folder.

    The files may be the result of a long training.
    """
    try:
        kept = Path(tempfile.mkdtemp(prefix="heed-bundle-"))
        write_files(kept, files)
    except OSError:
        return refused
    return DataError(f"{refused}; the bundle is kept in {kept}")


def check_free(path: Path, *, force: bool) -> None:
    """Raise `DataError` if a bundle cannot be written to `path`, or may not replace what exists."""
    check_replaceable(path)
    try:
        whole = whole_folder(path)  # another folder if the last write of `path` was killed
        free = not whole.exists() or (whole.is_dir() and not any(whole.iterdir()))
        is_other = not free and not (whole / CONFIG).exists()
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
