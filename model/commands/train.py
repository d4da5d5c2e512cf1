"""`heed train` and `heed export`, from the data file to the bundle."""

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from heed.model.commands.initialization import Initialization, choose_initialization
from heed.model.commands.options import TrainingRows, TrainOptions, read_rows
from heed.model.data.labelled import LabelledTexts, read_labelled, read_texts
from heed.model.distill.augment import augment, is_long, sentences
from heed.model.distill.synonyms import Synonyms
from heed.model.errors import DataError
from heed.model.export.build_bundle import HeldOutRows, build_bundle
from heed.model.inference.bundle import Bundle, check_free
from heed.model.metrics.calibration import Floats
from heed.model.nn.network import NetworkConfig
from heed.model.nn.ngrams import NgramConfig
from heed.model.paths import check_writable
from heed.model.training.checkpoint import DEV, OUT_OF_SCOPE, Checkpoint
from heed.model.training.config import (
    LARGE_TRAINING_SET,
    MAX_TEXT_TOKENS,
    TrainConfig,
    class_weights,
    derive_config,
    vocabulary_size,
)
from heed.model.training.dataset import Dataset, concatenate_datasets, tokenize_texts
from heed.model.training.fit_ngrams import MAX_LABELS, fit_ngrams
from heed.model.training.metadata import begin_job, same_encoders, same_job
from heed.model.training.search import Trial, search_config
from heed.model.training.trainer import predict_logits, train_network

Note = Callable[[str], None]
"""Tells the person at the terminal something, one line."""


def train_bundle(order: TrainOptions, note: Note) -> Bundle:
    """Read, fit, train, export, check and write; see the contract's `heed train`.

    Raises:
        HeedError: what is wrong, before anything at `order.out` is touched.
    """
    check_free(order.out, force=order.force)
    for folder in filter(None, (order.checkpoint, order.logdir)):
        check_writable(folder)
    checkpoint = _checkpoint(order, note)
    begun = checkpoint.job() if checkpoint and checkpoint.exists and order.resume else None
    if checkpoint and begun:
        same_encoders(begun, order, checkpoint.path)
    rows = read_rows(order)
    for line in rows.notes:
        note(line)
    labels = sorted(set(rows.train.labels))
    start = choose_initialization(
        order, rows, (checkpoint, begun) if checkpoint and begun else None, note
    )
    tokenizer = start.tokenizer
    longest = order.chosen.get("max_tokens") or MAX_TEXT_TOKENS
    data, dev = (
        tokenize_texts(part, tokenizer, labels, longest) for part in (rows.train, rows.dev)
    )
    for part in filter(None, (rows.test, rows.out_of_scope)):
        tokenize_texts(part, tokenizer, None, longest)  # refuses a row now, not after the training
    more = _more_text(order, rows, start)
    if more.texts:
        data = concatenate_datasets(data, tokenize_texts(more, tokenizer, None, longest))
    chosen = {"vocabulary": vocabulary_size(rows.train.texts)} | order.chosen
    if start.source:
        chosen |= {"vocabulary": tokenizer.vocabulary}
    lengths = data.lengths[: len(rows.train.texts)].tolist()
    taught = order.teacher is not None
    config = derive_config(lengths, len(labels), more=len(more.texts), taught=taught, **chosen)
    data, dev = data.cut(config.max_tokens), dev.cut(config.max_tokens)
    sizes = config.network(tokenizer.vocabulary, len(labels))
    job = begin_job(order, config, sizes, labels, rows, more, start.source)
    if checkpoint and begun:
        job = same_job(begun, job, order, checkpoint.path)
    elif checkpoint:
        checkpoint.begin(job, tokenizer.to_json(), _as_jsonl(rows.dev), start.table)
    note(
        f"{len(rows.train.texts):,} train and {len(dev):,} dev rows, {len(labels)} labels, "
        f"{tokenizer.vocabulary:,} tokens, up to {config.max_tokens} a text"
    )
    if order.teacher:
        from heed.model.distill.label import distill

        teacher_outputs = distill(
            order.teacher, rows.train, rows.dev, labels, more.texts, tokenizer,
            seed=config.seed, checkpoint=checkpoint, note=note,
        )  # fmt: skip
        own = data.labels[: len(rows.train.texts)]
        data = replace(
            data,
            labels=teacher_outputs.labels(own),
            targets=teacher_outputs.targets(own),
            token_targets=teacher_outputs.token_targets,
        )
        sizes = replace(sizes, token_targets=teacher_outputs.token_targets.width)
        job["network"] = asdict(sizes)
        job["training"]["teacher"]["dev_accuracy"] = teacher_outputs.accuracy
    ngrams = checkpoint.ngrams() if checkpoint and begun else None
    begins = not (checkpoint and checkpoint.started)
    if ngrams is None and begins and len(labels) <= MAX_LABELS:
        note("fitting what tokens and pairs of them say by themselves")
        labelled = data.take(np.arange(len(rows.train.texts))) if more.texts else data
        weights = class_weights(np.bincount(labelled.labels).tolist(), config.class_weight_ratio)
        bag = NgramConfig(sizes.vocabulary, sizes.classes)
        ngrams = fit_ngrams(bag, labelled, dev, start.table, weights, config.seed)
        if checkpoint:
            checkpoint.save_ngrams(ngrams)
    ngram_logits = predict_logits(ngrams, dev).numpy() if ngrams else None
    if order.tune and checkpoint and checkpoint.started and not job["training"].get("tuned"):
        raise DataError(
            f"{checkpoint.path}: its training was begun without --tune; leave that out, or begin "
            "anew with --force and without --resume"
        )
    if order.tune or job["training"].get("tuned"):
        config = _tuned(order, job, config, sizes, data, dev, start.table, ngram_logits, note)
        sizes = config.network(sizes.vocabulary, sizes.classes, sizes.token_targets)
        job["network"] = asdict(sizes)
    if checkpoint:
        checkpoint.keep_out_of_scope(_as_jsonl(rows.out_of_scope) if rows.out_of_scope else None)
        checkpoint.amend(job)
    network = train_network(
        sizes, config, data, dev, table=start.table, ngram_logits=ngram_logits, checkpoint=checkpoint,
        logdir=order.logdir,
    )  # fmt: skip
    held_out = HeldOutRows(rows.dev, rows.test, rows.out_of_scope)
    return build_bundle(network, ngrams, tokenizer, job, held_out, order.out, force=order.force)


def _tuned(
    order: TrainOptions,
    job: dict[str, Any],
    config: TrainConfig,
    sizes: NetworkConfig,
    data: Dataset,
    dev: Dataset,
    table: Tensor | None,
    ngram_logits: Floats | None,
    note: Note,
) -> TrainConfig:
    """The best plan that a search finds, or found before the training was stopped."""
    training = job["training"]
    if not training.get("tuned"):
        trials: list[Trial] = []

        def told(trial: Trial) -> None:
            trials.append(trial)
            changes = ", ".join(f"{k} {v:g}" for k, v in trial.changed.items()) or "as planned"
            note(
                f"trial {len(trials)}: {changes}: dev accuracy {trial.accuracy:.4f}, "
                f"cross-entropy {trial.cross_entropy:.4f}"
            )

        best = search_config(
            config, sizes, data, dev, table=table, ngram_logits=ngram_logits,
            fixed=frozenset(order.chosen), minutes=order.tune or 0, told=told,
        )  # fmt: skip
        training["tuned"] = {
            "minutes": order.tune,
            "trials": len(trials),
            "changed": best.changed,
            "planned_accuracy": trials[0].accuracy,
            "accuracy": best.accuracy,
        }
    return replace(config, **training["tuned"]["changed"])


def export_checkpoint(path: Path, out: Path, *, force: bool) -> Bundle:
    """Make a bundle of the best epoch so far.

    Raises:
        HeedError: there is no checkpoint, no finished epoch, or `out` is taken.
    """
    check_free(out, force=force)
    checkpoint = Checkpoint(path)
    job = checkpoint.job()
    tokenizer = checkpoint.tokenizer()
    network = checkpoint.network()
    ngrams = checkpoint.ngrams()
    outside = read_texts(path / OUT_OF_SCOPE) if (path / OUT_OF_SCOPE).exists() else None
    held_out = HeldOutRows(read_labelled(path / DEV), None, outside)
    return build_bundle(network, ngrams, tokenizer, job, held_out, out, force=force)


def _more_text(order: TrainOptions, rows: TrainingRows, start: Initialization) -> LabelledTexts:
    """What the teacher labels besides the rows: unlabelled text, and text made of the rows."""
    tokenizer = start.tokenizer
    texts, where = list[str](), list[int]()
    if rows.unlabelled:
        for text, row in zip(rows.unlabelled.texts, rows.unlabelled.rows, strict=True):
            parts = sentences([text]) if is_long(text, tokenizer) else [text]
            texts += parts
            where += [row] * len(parts)
    if order.teacher:
        synonyms = None
        if start.table is not None and len(rows.train.texts) < LARGE_TRAINING_SET:
            synonyms = Synonyms(tokenizer, start.table)
        texts += augment(rows.train.texts, tokenizer, order.chosen.get("seed") or 0, synonyms)
    where += [0] * (len(texts) - len(where))
    return LabelledTexts(order.unlabelled or order.data[0], texts, [""] * len(texts), where)


def _checkpoint(order: TrainOptions, note: Note) -> Checkpoint | None:
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


def _as_jsonl(labelled: LabelledTexts) -> str:
    pairs = zip(labelled.texts, labelled.labels, strict=True)
    return "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in pairs)
