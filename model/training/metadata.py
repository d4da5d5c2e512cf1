"""What a training is, as `job.json` of its checkpoint keeps it and the bundle tells it."""

import datetime
import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from heed.model.commands.options import TrainingRows, TrainOptions
from heed.model.data.labelled import LabelledTexts
from heed.model.errors import DataError
from heed.model.nn.network import NetworkConfig
from heed.model.paths import as_utf8
from heed.model.training.checkpoint import FORMAT
from heed.model.training.config import TrainConfig


def begin_job(
    order: TrainOptions,
    config: TrainConfig,
    sizes: NetworkConfig,
    labels: list[str],
    rows: TrainingRows,
    more: LabelledTexts,
    source: str | None,
) -> dict[str, Any]:
    """What the checkpoint and the bundle tell of a training.

    Args:
        order: what was asked for.
        config: the plan.
        sizes: of the network.
        labels: in output order.
        rows: what was read.
        more: text for the teacher; what was made of other text has row 0.
        source: whose vectors training starts from, if anybody's.
    """
    return {
        "format": FORMAT,
        "name": order.bundle_name,
        "version": order.version or "1.0.0",
        "labels": labels,
        "config": asdict(config),
        "network": asdict(sizes),
        "encoders": _encoders(order),
        "training": _training(order, config, rows, more, source),
        "data": _fingerprint(rows.train, rows.dev, more),
    }


def _training(
    order: TrainOptions,
    config: TrainConfig,
    rows: TrainingRows,
    more: LabelledTexts,
    source: str | None,
) -> dict[str, Any]:
    known: dict[str, Any] = {
        "data": as_utf8(order.data_name) if order.data_name else order.data_files,
        "rows": {
            "train": len(rows.train.texts),
            "dev": len(rows.dev.texts),
            "test": len(rows.test.texts) if rows.test else 0,
        },
        "notes": rows.notes,
        "terms": as_utf8(order.terms) if order.terms else None,
        "seed": config.seed,
        "epochs": config.epochs,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": as_utf8(order.command),
        "abstaining": None,
    }
    if source:
        known["init_embeddings"] = _short(source)
    if order.teacher:
        made = more.rows.count(0)
        known["teacher"] = {
            "name": _short(order.teacher),
            "unlabelled": len(more.texts) - made,
            "augmented": made,
        }
    if order.target_precision is not None or rows.out_of_scope:
        outside = len(rows.out_of_scope.texts) if rows.out_of_scope else 0
        known["abstaining"] = {
            "target_precision": order.target_precision,
            "out_of_scope": outside,
        }
    return known


def _short(source: str) -> str:
    """An encoder's name: that on the hub, or of its folder."""
    return Path(source).resolve().name if Path(source).is_dir() else source


def _encoders(order: TrainOptions) -> dict[str, str | None]:
    return {"init_embeddings": order.init_embeddings, "teacher": order.teacher}


def same_encoders(begun: dict[str, Any], order: TrainOptions, path: Path) -> None:
    """Raise `DataError` where a training goes on with another encoder than it began with."""
    for key, value in _encoders(order).items():
        old = begun.get("encoders", {}).get(key)
        if old != value:
            option = "--" + key.replace("_", "-")
            was = f"with {option} {old}" if old else f"without {option}"
            raise DataError(
                f"{path}: was begun {was}; give the same, or begin anew with --force and without "
                "--resume"
            )


def _fingerprint(*parts: LabelledTexts) -> str:
    digest = hashlib.sha256()
    for part in parts:
        for text, label in zip(part.texts, part.labels, strict=True):
            digest.update(json.dumps([text, label]).encode())
    return digest.hexdigest()


def same_job(
    old: dict[str, Any], new: dict[str, Any], order: TrainOptions, path: Path
) -> dict[str, Any]:
    """The job that was begun, if what is asked for now is the same.

    What does not change what is learnt may be another now: names and terms where they are given,
    the test rows, and the threshold, which is chosen at the end.
    """
    if old["data"] != new["data"] or old["labels"] != new["labels"]:
        raise DataError(
            f"{path}: was begun with other rows, or by an older Heed that set others aside for "
            "dev; give the same data, or begin anew with --force and without --resume"
        )
    for key, value in new["config"].items():
        if old["config"].get(key) != value:
            option = "--" + key.replace("_", "-")
            raise DataError(
                f"{path}: was begun with {option} {old['config'].get(key)}, not {value}; give the "
                "same options, or begin anew with --force and without --resume"
            )
    names = {"name": order.name, "version": order.version}
    told = {"data": order.data_name, "terms": order.terms}
    given = [key for key, value in told.items() if value is not None]
    keys = ("rows", "notes", "abstaining", *given)
    training = old["training"] | {key: new["training"][key] for key in keys}
    return old | {k: v for k, v in names.items() if v is not None} | {"training": training}
