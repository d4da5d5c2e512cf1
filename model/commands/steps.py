"""The steps of `train_bundle`, in their order, except for the search (`tuning.py`)."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from heed.model.commands.describe import check_same_encoders, describe_training, resume_metadata
from heed.model.commands.initialization import Initialization, choose_initialization
from heed.model.commands.options import TrainOptions
from heed.model.data import TrainingRows, read_training_rows
from heed.model.distill import add_pseudo_labelled_texts
from heed.model.errors import DataError
from heed.model.export import HeldOutData
from heed.model.inference import check_free
from heed.model.metrics import Floats
from heed.model.nn import NgramConfig, NgramModel
from heed.model.paths import check_writable
from heed.model.text import Tokenizer
from heed.model.training import (
    MAX_LABELS,
    MAX_TEXT_TOKENS,
    Checkpoint,
    Dataset,
    TrainConfig,
    TrainingMetadata,
    TrainingSet,
    TrainingTexts,
    class_weights,
    derive_config,
    fit_ngrams,
    predict_logits,
    tokenize_rows,
    tokenize_training_texts,
    vocabulary_size,
)

OnMessage = Callable[[str], None]
"""Callback for one line of progress."""


@dataclass(frozen=True)
class Run:
    """A run of `heed train`."""

    options: TrainOptions
    checkpoint: Checkpoint | None
    """Where the training is saved, if it is."""
    saved: TrainingMetadata | None
    """Metadata of the checkpoint that the run resumes from; None: a new training."""
    on_message: OnMessage

    @property
    def resumed(self) -> Checkpoint | None:
        """The checkpoint that the run resumes from."""
        return self.checkpoint if self.saved else None

    @property
    def max_tokens(self) -> int:
        """Number of tokens to read of a text before `TrainConfig.max_tokens` is known."""
        return self.options.overrides.get("max_tokens") or MAX_TEXT_TOKENS


@dataclass(frozen=True)
class TokenizedRows:
    """The tokenized rows of a run."""

    training: TrainingSet
    held_out: HeldOutData

    def cut(self, max_tokens: int) -> "TokenizedRows":
        """Return the rows with texts cut to at most `max_tokens` tokens."""
        return TokenizedRows(self.training.cut(max_tokens), self.held_out.cut(max_tokens))


def prepare(options: TrainOptions, on_message: OnMessage) -> Run:
    """Check that the outputs can be written, and open the checkpoint.

    Raises:
        DataError: an output exists or cannot be written, or the checkpoint does not fit.
    """
    check_free(options.out, force=options.force)
    for folder in filter(None, (options.checkpoint, options.logdir)):
        check_writable(folder)
    if options.checkpoint is None:
        return Run(options, None, None, on_message)
    checkpoint = Checkpoint(options.checkpoint)
    if checkpoint.exists and not (options.resume or options.force):
        raise DataError(
            f"{options.checkpoint}: a checkpoint exists; add --resume to continue it, or --force "
            "to replace it"
        )
    if not (checkpoint.exists and options.resume):
        if options.resume:
            on_message(f"{options.checkpoint}: no checkpoint yet; starting a new training")
        return Run(options, checkpoint, None, on_message)
    saved = checkpoint.metadata()
    check_same_encoders(saved, options, checkpoint.path)
    return Run(options, checkpoint, saved, on_message)


def read_rows(run: Run) -> TrainingRows:
    """Read all files, and report which rows are left out."""
    rows = read_training_rows(run.options.files, run.options.seed)
    for note in rows.notes:
        run.on_message(note)
    return rows


def initialize(run: Run, rows: TrainingRows) -> Initialization:
    """Return the tokenizer and the initial embeddings, new or of the checkpoint."""
    if run.saved and run.checkpoint:
        return Initialization(
            run.checkpoint.tokenizer(),
            run.saved.initial_embeddings,
            run.checkpoint.initial_embeddings(),
        )
    return choose_initialization(run.options, rows.train.texts, run.on_message)


def collect_texts(run: Run, rows: TrainingRows, initialization: Initialization) -> TrainingTexts:
    """Return the texts to train on. With a teacher, these include unlabelled and augmented ones."""
    if run.options.teacher is None:
        return TrainingTexts(rows.train)
    return add_pseudo_labelled_texts(
        rows.train, rows.unlabelled, initialization.tokenizer, initialization.embeddings,
        run.options.seed,
    )  # fmt: skip


def tokenize(
    rows: TrainingRows, texts: TrainingTexts, tokenizer: Tokenizer, max_tokens: int
) -> TokenizedRows:
    """Tokenize all rows with the network's tokenizer.

    Raises:
        DataError: a text has no token.
    """
    labels = rows.labels
    training = tokenize_training_texts(texts, tokenizer, labels, max_tokens)
    dev = tokenize_rows(rows.dev, tokenizer, labels, max_tokens)
    test = tokenize_rows(rows.test, tokenizer, labels, max_tokens) if rows.test else None
    outside = None
    if rows.out_of_scope:
        outside = tokenize_rows(rows.out_of_scope, tokenizer, None, max_tokens)
    return TokenizedRows(training, HeldOutData(dev=dev, test=test, out_of_scope=outside))


def derive_training_config(
    run: Run, rows: TrainingRows, data: TokenizedRows, initialization: Initialization
) -> TrainConfig:
    """Return the hyperparameters that follow from the data and the options."""
    options, training = run.options, data.training
    overrides = {"vocabulary": vocabulary_size(rows.train.texts)} | dict(options.overrides)
    if initialization.encoder:
        overrides["vocabulary"] = initialization.tokenizer.vocabulary
    return derive_config(
        training.labelled.lengths.tolist(),
        len(rows.labels),
        pseudo_labelled=len(training.pseudo_labelled) if training.pseudo_labelled else 0,
        distilled=options.teacher is not None,
        overrides=overrides | {"seed": options.seed},
    )


def start_or_resume(
    run: Run,
    rows: TrainingRows,
    texts: TrainingTexts,
    config: TrainConfig,
    initialization: Initialization,
) -> TrainingMetadata:
    """Return the metadata of the training, and create a new checkpoint.

    Raises:
        DataError: the training of the checkpoint is a different one.
    """
    tokenizer = initialization.tokenizer
    network = config.network(tokenizer.vocabulary, len(rows.labels))
    metadata = describe_training(run.options, rows, texts, config, network, initialization.encoder)
    if run.saved and run.checkpoint:
        metadata = resume_metadata(run.saved, metadata, run.options, run.checkpoint.path)
        _check_tuning(run, metadata)
    elif run.checkpoint:
        if run.options.teacher is not None:
            from heed.model.distill import read_encoder

            # `create` removes the files of an older training, so a teacher that cannot be read is
            # reported before.
            read_encoder(run.options.teacher, "--teacher")
        run.checkpoint.create(metadata, tokenizer, rows.dev, initialization.embeddings)
    run.on_message(
        f"{len(rows.train.texts):,} train and {len(rows.dev.texts):,} dev rows, "
        f"{len(rows.labels)} labels, {tokenizer.vocabulary:,} tokens, "
        f"up to {config.max_tokens} tokens per text"
    )
    return metadata


def label_training_set(
    run: Run,
    rows: TrainingRows,
    texts: TrainingTexts,
    data: TokenizedRows,
    metadata: TrainingMetadata,
    initialization: Initialization,
) -> tuple[Dataset, TrainingMetadata]:
    """Return the training set and its metadata. With a teacher, the teacher labels all texts."""
    if run.options.teacher is None:
        return data.training.all_texts(), metadata
    from heed.model.distill import distill

    outputs = distill(
        run.options.teacher, texts, rows.dev, metadata.labels, initialization.tokenizer,
        seed=metadata.config.seed, checkpoint=run.checkpoint, on_message=run.on_message,
    )  # fmt: skip
    metadata = metadata.with_teacher_accuracy(outputs.dev_accuracy, outputs.token_targets.width)
    return data.training.distilled(outputs), metadata


def fit_ngram_model(
    run: Run, data: TokenizedRows, metadata: TrainingMetadata, initialization: Initialization
) -> NgramModel | None:
    """Return the n-gram model, new or of the checkpoint; None if there are too many labels."""
    if run.resumed and (saved := run.resumed.ngrams()):
        return saved
    network_started = run.checkpoint is not None and run.checkpoint.started
    if network_started or len(metadata.labels) > MAX_LABELS:
        return None
    run.on_message("fitting the n-gram model")
    labelled, config = data.training.labelled, metadata.config
    ngrams = fit_ngrams(
        NgramConfig(metadata.network.vocabulary, metadata.network.classes),
        labelled,
        data.held_out.dev,
        initialization.embeddings,
        class_weights(np.bincount(labelled.labels).tolist(), config.class_weight_ratio),
        config.seed,
    )
    if run.checkpoint:
        run.checkpoint.save_ngrams(ngrams)
    return ngrams


def predict_dev(ngrams: NgramModel | None, data: TokenizedRows) -> Floats | None:
    """Return the n-gram model's logits for dev, (N, C), if there is a model."""
    return predict_logits(ngrams, data.held_out.dev).numpy() if ngrams else None


def save_inputs(run: Run, rows: TrainingRows, metadata: TrainingMetadata) -> None:
    """Save to the checkpoint what `heed export` needs besides the weights."""
    if run.checkpoint:
        run.checkpoint.save_out_of_scope(rows.out_of_scope)
        run.checkpoint.save_metadata(metadata)


def _check_tuning(run: Run, metadata: TrainingMetadata) -> None:
    """Raise `DataError` if a training without a search would resume with one."""
    assert run.checkpoint is not None
    if run.options.tune_minutes and run.checkpoint.started and not metadata.tuning:
        raise DataError(
            f"{run.checkpoint.path}: was started without --tune; leave it out, or start again with "
            "--force and without --resume"
        )
