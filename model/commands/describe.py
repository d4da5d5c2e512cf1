"""Describe a new training as metadata, and compare it with the training of a checkpoint."""

import datetime
import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

from heed.model.commands.options import TrainOptions
from heed.model.data import TrainingRows
from heed.model.errors import DataError
from heed.model.nn import NetworkConfig
from heed.model.paths import as_utf8
from heed.model.training import (
    DataDescription,
    EncoderOptions,
    TeacherDescription,
    ThresholdRequest,
    TrainConfig,
    TrainingMetadata,
    TrainingTexts,
)

REMEDY = "or start again with --force and without --resume"


def describe_training(
    options: TrainOptions,
    rows: TrainingRows,
    texts: TrainingTexts,
    config: TrainConfig,
    network: NetworkConfig,
    initial_embeddings: str | None,
) -> TrainingMetadata:
    """Return the metadata of a new training.

    Args:
        options: of the command.
        rows: that were read.
        texts: of the training set.
        config: derived hyperparameters.
        network: sizes of the network.
        initial_embeddings: the encoder whose token vectors initialize the embeddings, if any.
    """
    return TrainingMetadata(
        name=options.bundle_name,
        version=options.version or "1.0.0",
        labels=tuple(rows.labels),
        config=config,
        network=network,
        encoders=_encoder_options(options),
        data=DataDescription(
            name=as_utf8(options.data_name or options.files.title),
            terms=as_utf8(options.terms) if options.terms else None,
            train=len(rows.train.texts),
            dev=len(rows.dev.texts),
            test=len(rows.test.texts) if rows.test else 0,
            notes=rows.notes,
            fingerprint=_fingerprint(rows, texts),
        ),
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        command=as_utf8(options.command),
        initial_embeddings=_encoder_name(initial_embeddings) if initial_embeddings else None,
        teacher=_describe_teacher(options, texts),
        threshold=_threshold_request(options, rows),
    )


def check_same_encoders(saved: TrainingMetadata, options: TrainOptions, folder: Path) -> None:
    """Raise `DataError` if a training would resume with other encoders.

    Args:
        saved: metadata of the checkpoint.
        options: of the command.
        folder: of the checkpoint.
    """
    given = asdict(_encoder_options(options))
    for name, old in asdict(saved.encoders).items():
        if old != given[name]:
            option = _option(name)
            before = f"with {option} {old}" if old else f"without {option}"
            raise DataError(f"{folder}: was started {before}; use the same, {REMEDY}")


def resume_metadata(
    saved: TrainingMetadata, new: TrainingMetadata, options: TrainOptions, folder: Path
) -> TrainingMetadata:
    """Return the metadata of a resumed training.

    Data and hyperparameters may not change. The names, the terms, the test rows and the request for
    a threshold may, because they do not affect the weights.

    Args:
        saved: metadata of the checkpoint.
        new: metadata that a new training would have.
        options: of the command.
        folder: of the checkpoint.

    Raises:
        DataError: data or hyperparameters have changed.
    """
    if saved.data.fingerprint != new.data.fingerprint or saved.labels != new.labels:
        raise DataError(f"{folder}: was started with other rows; use the same data, {REMEDY}")
    config = asdict(saved.config)
    for name, value in asdict(new.config).items():
        if config[name] != value:
            raise DataError(
                f"{folder}: was started with {_option(name)} {config[name]}, not {value}; use the "
                f"same options, {REMEDY}"
            )
    data = replace(
        new.data,
        name=saved.data.name if options.data_name is None else new.data.name,
        terms=saved.data.terms if options.terms is None else new.data.terms,
    )
    return replace(
        saved,
        name=saved.name if options.name is None else new.name,
        version=saved.version if options.version is None else new.version,
        data=data,
        threshold=new.threshold,
    )


def _encoder_options(options: TrainOptions) -> EncoderOptions:
    return EncoderOptions(init_embeddings=options.init_embeddings, teacher=options.teacher)


def _describe_teacher(options: TrainOptions, texts: TrainingTexts) -> TeacherDescription | None:
    if options.teacher is None:
        return None
    return TeacherDescription(
        name=_encoder_name(options.teacher),
        unlabelled=len(texts.unlabelled.texts) if texts.unlabelled else 0,
        augmented=len(texts.augmented),
    )


def _threshold_request(options: TrainOptions, rows: TrainingRows) -> ThresholdRequest | None:
    if options.target_precision is None and not rows.out_of_scope:
        return None
    return ThresholdRequest(
        target_precision=options.target_precision,
        out_of_scope=len(rows.out_of_scope.texts) if rows.out_of_scope else 0,
    )


def _encoder_name(source: str) -> str:
    """Return the name of an encoder: the one on the hub, or the name of its folder."""
    return Path(source).resolve().name if Path(source).is_dir() else source


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _fingerprint(rows: TrainingRows, texts: TrainingTexts) -> str:
    digest = hashlib.sha256()
    for text, label in _all_rows(rows, texts):
        digest.update(json.dumps([text, label]).encode())
    return digest.hexdigest()


def _all_rows(rows: TrainingRows, texts: TrainingTexts) -> Iterator[tuple[str, str]]:
    for part in (rows.train, rows.dev):
        yield from zip(part.texts, part.labels, strict=True)
    for text in texts.pseudo_labelled:
        yield text, ""
