"""`heed train` and `heed export`, from the data file to the bundle."""

import datetime
import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from model.bundle import Bundle, Name, check_free
from model.checkpoint import DEV, Checkpoint
from model.data import Labelled, label_ids, read_labelled, split, standing_in
from model.dataset import encode
from model.errors import DataError
from model.network import Network, NetworkConfig
from model.plan import LONGEST_TEXT, PRETRAINED_RATE, TrainConfig, dev_fraction, plan, vocabulary_size
from model.release import release
from model.tokenizer import Tokenizer
from model.train import train

Note = Callable[[str], None]
"""Tells the person at the terminal something, one line."""


@dataclass(frozen=True)
class Order:
    """What `heed train` is asked for."""

    data: Path
    out: Path
    dev: Path | None = None
    test: Path | None = None
    text_column: str = "text"
    label_column: str = "label"
    name: str | None = None
    """None: the name of the folder `out`."""
    version: str = "1.0.0"
    data_name: str | None = None
    """None: the name of the file `data`."""
    terms: str | None = None
    """Under which the data may be used, for the model card."""
    checkpoint: Path | None = None
    resume: bool = False
    logdir: Path | None = None
    force: bool = False
    init_embeddings: str | None = None
    """A sentence encoder to start the embedding table from; None: from random vectors."""
    command: str = "heed train"
    """As it was typed, for the model card."""
    chosen: dict[str, Any] = field(default_factory=dict)
    """Fields of `TrainConfig` that the person named."""

    @property
    def bundle_name(self) -> str:
        """The name that the bundle will have."""
        name = self.name or self.out.resolve().name
        try:
            return TypeAdapter(Name).validate_python(name)
        except ValidationError as error:
            raise DataError(
                f"{name!r} cannot be a bundle's name; give one with --name: letters, digits, "
                "'.', '_' and '-', at most 64"
            ) from error


@dataclass(frozen=True)
class Rows:
    """The rows that training uses."""

    train: Labelled
    dev: Labelled
    test: Labelled | None
    notes: list[str]


def train_bundle(order: Order, note: Note) -> Bundle:
    """Read, fit, train, export, check and write; see the contract's `heed train`.

    Raises:
        HeedError: what is wrong, before anything at `order.out` is touched.
    """
    check_free(order.out, force=order.force)
    name = order.bundle_name
    checkpoint = _checkpoint(order, note)
    rows = _read(order)
    for line in rows.notes:
        note(line)
    labels = sorted(set(rows.train.labels))
    resumed = checkpoint is not None and checkpoint.exists and order.resume
    if checkpoint and resumed:
        tokenizer, table = Tokenizer.from_json(checkpoint.tokenizer()), None
    elif order.init_embeddings:
        tokenizer, table = _start_from_encoder(order, note)
    else:
        table = None
        wanted = order.chosen.get("vocabulary") or vocabulary_size(rows.train.texts)
        tokenizer = Tokenizer.fit(rows.train.texts, wanted)
    longest = order.chosen.get("max_tokens") or LONGEST_TEXT
    data, dev = (encode(part, tokenizer, labels, longest) for part in (rows.train, rows.dev))
    chosen = {"vocabulary": vocabulary_size(rows.train.texts)} | order.chosen
    if order.init_embeddings:
        chosen = {"embedding_rate": PRETRAINED_RATE} | chosen | {"vocabulary": tokenizer.vocabulary}
    config = plan(data.lengths.tolist(), len(labels), **chosen)
    data, dev = data.cut(config.max_tokens), dev.cut(config.max_tokens)
    sizes = config.network(tokenizer.vocabulary, len(labels))
    job = {
        "name": name,
        "version": order.version,
        "labels": labels,
        "config": asdict(config),
        "network": asdict(sizes),
        "training": _training(order, config, rows),
        "data": _fingerprint(rows.train, rows.dev),
    }
    if checkpoint and resumed:
        job = _same_job(checkpoint.job(), job, checkpoint.path)
    elif checkpoint:
        checkpoint.begin(job, tokenizer.to_json(), _as_jsonl(rows.dev))
    note(
        f"{len(data):,} train and {len(dev):,} dev rows, {len(labels)} labels, "
        f"{tokenizer.vocabulary:,} tokens, up to {config.max_tokens} a text"
    )
    network = train(
        sizes, config, data, dev, table=table, checkpoint=checkpoint, logdir=order.logdir
    )
    return release(network, tokenizer, job, rows.dev, rows.test, order.out, force=order.force)


def export_checkpoint(path: Path, out: Path, *, force: bool) -> Bundle:
    """Make a bundle of the best epoch so far.

    Raises:
        HeedError: there is no checkpoint, no finished epoch, or `out` is taken.
    """
    check_free(out, force=force)
    checkpoint = Checkpoint(path)
    job = checkpoint.job()
    tokenizer = Tokenizer.from_json(checkpoint.tokenizer())
    network = Network(NetworkConfig(**job["network"]))
    network.load_state_dict(checkpoint.best())
    dev = read_labelled(path / DEV)
    return release(network.eval(), tokenizer, job, dev, None, out, force=force)


def _start_from_encoder(order: Order, note: Note) -> tuple[Tokenizer, Tensor]:
    from model.encoder import static_vectors

    note(f"reading the tokens' vectors from {order.init_embeddings}")
    assert order.init_embeddings is not None
    vectors = static_vectors(order.init_embeddings, order.chosen.get("width") or TrainConfig.width)
    return vectors.tokenizer, vectors.table


def _checkpoint(order: Order, note: Note) -> Checkpoint | None:
    if order.checkpoint is None:
        if order.resume:
            raise DataError("--resume needs --checkpoint DIR, the folder to go on from")
        return None
    checkpoint = Checkpoint(order.checkpoint)
    if checkpoint.exists and not (order.resume or order.force):
        raise DataError(
            f"{order.checkpoint}: a checkpoint is there already; add --resume to go on from it, or "
            "--force to begin anew"
        )
    if order.resume and not checkpoint.exists:
        note(f"{order.checkpoint}: no checkpoint there yet; beginning anew")
    return checkpoint


def _read(order: Order) -> Rows:
    def read(path: Path) -> Labelled:
        return read_labelled(path, order.text_column, order.label_column)

    whole = read(order.data)
    labels = sorted(set(whole.labels))
    if len(labels) < 2:
        raise DataError(
            f"{order.data}: every row has the label {labels[0]!r}; a classifier needs two or more"
        )
    if order.dev:
        rest, dev = whole, read(order.dev)
    else:
        rest, dev = split(whole, dev_fraction(len(whole.texts)), order.chosen.get("seed") or 0)
    test = read(order.test) if order.test else None
    notes = []
    for part in filter(None, (dev, test)):
        label_ids(part, labels)
        if part.path != order.data and (known := standing_in(part, whole)):
            notes.append(
                f"{known:,} of {len(part.texts):,} texts of {part.path.name} stand in "
                f"{order.data.name} too."
            )
    return Rows(rest, dev, test, notes)


def _training(order: Order, config: TrainConfig, rows: Rows) -> dict[str, Any]:
    return {
        "data": order.data_name or order.data.name,
        "rows": {
            "train": len(rows.train.texts),
            "dev": len(rows.dev.texts),
            "test": len(rows.test.texts) if rows.test else 0,
        },
        "notes": rows.notes,
        "terms": order.terms,
        "seed": config.seed,
        "epochs": config.epochs,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "command": order.command,
    }


def _fingerprint(*parts: Labelled) -> str:
    digest = hashlib.sha256()
    for part in parts:
        for text, label in zip(part.texts, part.labels, strict=True):
            digest.update(json.dumps([text, label]).encode())
    return digest.hexdigest()


def _same_job(old: dict[str, Any], new: dict[str, Any], path: Path) -> dict[str, Any]:
    """The job that was begun, if what is asked for now is the same."""
    if old["data"] != new["data"] or old["labels"] != new["labels"]:
        raise DataError(
            f"{path}: was begun with other rows; give the same data, or begin anew with --force"
        )
    for key, value in new["config"].items():
        if old["config"].get(key) != value:
            option = "--" + key.replace("_", "-")
            raise DataError(
                f"{path}: was begun with {option} {old['config'].get(key)}, not {value}; give the "
                "same options, or begin anew with --force and without --resume"
            )
    return old


def _as_jsonl(labelled: Labelled) -> str:
    pairs = zip(labelled.texts, labelled.labels, strict=True)
    return "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in pairs)
