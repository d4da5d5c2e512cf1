"""`heed train` and `heed export`, from the data file to the bundle."""

import datetime
import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from model.augment import augment, is_long, sentences
from model.bundle import Bundle, check_free
from model.checkpoint import DEV, OUT_OF_SCOPE, Checkpoint
from model.data import Labelled, read_labelled, read_texts
from model.dataset import encode, join
from model.errors import DataError
from model.network import Network, NetworkConfig
from model.order import Order, Rows, read_rows
from model.plan import LONGEST_TEXT, PRETRAINED_RATE, TrainConfig, plan, vocabulary_size
from model.release import HeldOut, release
from model.tokenizer import Tokenizer
from model.train import train

Note = Callable[[str], None]
"""Tells the person at the terminal something, one line."""


def train_bundle(order: Order, note: Note) -> Bundle:
    """Read, fit, train, export, check and write; see the contract's `heed train`.

    Raises:
        HeedError: what is wrong, before anything at `order.out` is touched.
    """
    check_free(order.out, force=order.force)
    name = order.bundle_name
    checkpoint = _checkpoint(order, note)
    begun = checkpoint.job() if checkpoint and checkpoint.exists and order.resume else None
    if checkpoint and begun:
        _same_encoders(begun, order, checkpoint.path)
    rows = read_rows(order)
    for line in rows.notes:
        note(line)
    labels = sorted(set(rows.train.labels))
    tokenizer, table = _tokenizer(order, rows, checkpoint if begun else None, note)
    longest = order.chosen.get("max_tokens") or LONGEST_TEXT
    data, dev = (encode(part, tokenizer, labels, longest) for part in (rows.train, rows.dev))
    for part in filter(None, (rows.test, rows.out_of_scope)):
        encode(part, tokenizer, None, longest)  # refuses a row now, not after the training
    more = _more_text(order, rows, tokenizer)
    if more.texts:
        data = join(data, encode(more, tokenizer, None, longest))
    chosen = {"vocabulary": vocabulary_size(rows.train.texts)} | order.chosen
    if order.teacher:
        chosen = {"label_smoothing": 0.0} | chosen  # soft labels are smooth
    if order.init_embeddings:
        chosen = {"embedding_rate": PRETRAINED_RATE} | chosen | {"vocabulary": tokenizer.vocabulary}
    config = plan(data.lengths.tolist(), len(labels), **chosen)
    data, dev = data.cut(config.max_tokens), dev.cut(config.max_tokens)
    sizes = config.network(tokenizer.vocabulary, len(labels))
    job: dict[str, Any] = {
        "name": name,
        "version": order.version,
        "labels": labels,
        "config": asdict(config),
        "network": asdict(sizes),
        "encoders": _encoders(order),
        "training": _training(order, config, rows, len(more.texts)),
        "data": _fingerprint(rows.train, rows.dev, more),
    }
    if checkpoint and begun:
        job = _same_job(begun, job, checkpoint.path)
    elif checkpoint:
        checkpoint.begin(job, tokenizer.to_json(), _as_jsonl(rows.dev))
    note(
        f"{len(rows.train.texts):,} train and {len(dev):,} dev rows, {len(labels)} labels, "
        f"{tokenizer.vocabulary:,} tokens, up to {config.max_tokens} a text"
    )
    if order.teacher:
        from model.teacher import teach

        soft = teach(
            order.teacher, rows.train, rows.dev, labels, more.texts,
            seed=config.seed, checkpoint=checkpoint, note=note,
        )  # fmt: skip
        own = data.labels[: len(rows.train.texts)]
        data = replace(data, labels=soft.labels(own), targets=soft.targets(own))
        job["training"]["teacher"]["dev_accuracy"] = soft.accuracy
    if checkpoint:
        checkpoint.keep_out_of_scope(_as_jsonl(rows.out_of_scope) if rows.out_of_scope else None)
        checkpoint.amend(job)
    network = train(
        sizes, config, data, dev, table=table, checkpoint=checkpoint, logdir=order.logdir
    )
    held_out = HeldOut(rows.dev, rows.test, rows.out_of_scope)
    return release(network, tokenizer, job, held_out, order.out, force=order.force)


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
    outside = read_texts(path / OUT_OF_SCOPE) if (path / OUT_OF_SCOPE).exists() else None
    held_out = HeldOut(read_labelled(path / DEV), None, outside)
    return release(network.eval(), tokenizer, job, held_out, out, force=force)


def _tokenizer(
    order: Order, rows: Rows, begun: Checkpoint | None, note: Note
) -> tuple[Tokenizer, Tensor | None]:
    """The tokenizer, and the embedding table to start from where an encoder gives one."""
    if order.init_embeddings and not (begun and begun.started):
        from model.encoder import read_encoder, static_vectors

        note(f"reading the tokens' vectors of {order.init_embeddings}")
        encoder = read_encoder(order.init_embeddings, "--init-embeddings")
        width = order.chosen.get("width") or TrainConfig.width
        vectors = static_vectors(encoder, width, rows.train.texts, order.chosen.get("vocabulary"))
        return vectors.tokenizer, vectors.table
    if begun:
        return Tokenizer.from_json(begun.tokenizer()), None
    wanted = order.chosen.get("vocabulary") or vocabulary_size(rows.train.texts)
    return Tokenizer.fit(rows.train.texts, wanted), None


def _more_text(order: Order, rows: Rows, tokenizer: Tokenizer) -> Labelled:
    """What the teacher labels besides the rows: unlabelled text, and text made of the rows."""
    texts, where = list[str](), list[int]()
    if rows.unlabelled:
        for text, row in zip(rows.unlabelled.texts, rows.unlabelled.rows, strict=True):
            parts = sentences([text]) if is_long(text, tokenizer) else [text]
            texts += parts
            where += [row] * len(parts)
    if order.teacher:
        texts += augment(rows.train.texts, tokenizer, order.chosen.get("seed") or 0)
    where += [0] * (len(texts) - len(where))
    return Labelled(order.unlabelled or order.data[0], texts, [""] * len(texts), where)


def _checkpoint(order: Order, note: Note) -> Checkpoint | None:
    if order.checkpoint is None:
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


def _training(order: Order, config: TrainConfig, rows: Rows, more: int) -> dict[str, Any]:
    known: dict[str, Any] = {
        "data": order.data_name or order.data_files,
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
        "abstaining": None,
    }
    if order.init_embeddings:
        known["init_embeddings"] = _short(order.init_embeddings)
    if order.teacher:
        unlabelled = len(rows.unlabelled.texts) if rows.unlabelled else 0
        known["teacher"] = {
            "name": _short(order.teacher),
            "unlabelled": unlabelled,
            "augmented": more - unlabelled,
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


def _encoders(order: Order) -> dict[str, str | None]:
    return {"init_embeddings": order.init_embeddings, "teacher": order.teacher}


def _same_encoders(begun: dict[str, Any], order: Order, path: Path) -> None:
    for key, value in _encoders(order).items():
        old = begun.get("encoders", {}).get(key)
        if old != value:
            option = "--" + key.replace("_", "-")
            was = f"with {option} {old}" if old else f"without {option}"
            raise DataError(
                f"{path}: was begun {was}; give the same, or begin anew with --force and without "
                "--resume"
            )


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
    # A threshold is chosen when all is learnt, so another may be asked for.
    abstaining = {"abstaining": new["training"]["abstaining"]}
    return old | {"training": old["training"] | abstaining}


def _as_jsonl(labelled: Labelled) -> str:
    pairs = zip(labelled.texts, labelled.labels, strict=True)
    return "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in pairs)
