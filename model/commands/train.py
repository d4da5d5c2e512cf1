"""`heed train` and `heed export`: from the data files to the bundle."""

from pathlib import Path

from heed.model.commands.options import TrainOptions
from heed.model.commands.steps import (
    OnMessage,
    collect_texts,
    derive_training_config,
    fit_ngram_model,
    initialize,
    label_training_set,
    predict_dev,
    prepare,
    read_rows,
    save_inputs,
    start_or_resume,
    tokenize,
)
from heed.model.commands.tuning import tune
from heed.model.export import HeldOutData, build_bundle, choose_example
from heed.model.inference import Bundle, check_free
from heed.model.training import Checkpoint, tokenize_rows, train_network


def train_bundle(options: TrainOptions, on_message: OnMessage) -> Bundle:
    """Train a classifier, write its bundle and return it.

    Args:
        options: of the command.
        on_message: callback for progress messages.

    Raises:
        HeedError: options or data are not valid, or a file cannot be written. The folder
            `options.out` is unchanged then.
    """
    run = prepare(options, on_message)
    rows = read_rows(run)
    initialization = initialize(run, rows)
    texts = collect_texts(run, rows, initialization)
    data = tokenize(rows, texts, initialization.tokenizer, run.max_tokens)
    config = derive_training_config(run, rows, data, initialization)
    data = data.cut(config.max_tokens)
    metadata = start_or_resume(run, rows, texts, config, initialization)
    training_set, metadata = label_training_set(run, rows, texts, data, metadata, initialization)
    ngrams = fit_ngram_model(run, data, metadata, initialization)
    ngram_logits = predict_dev(ngrams, data)
    metadata = tune(run, training_set, data, metadata, initialization, ngram_logits)
    save_inputs(run, rows, metadata)
    network = train_network(
        metadata.network, metadata.tuned_config, training_set, data.held_out.dev,
        initial_embeddings=initialization.embeddings, ngram_logits=ngram_logits,
        checkpoint=run.checkpoint, logdir=options.logdir,
    )  # fmt: skip
    return build_bundle(
        network, ngrams, initialization.tokenizer, metadata, data.held_out, options.out,
        example=choose_example(rows.dev.texts), force=options.force,
    )  # fmt: skip


def export_checkpoint(folder: Path, out: Path, *, force: bool) -> Bundle:
    """Write the bundle of a checkpoint's best epoch so far, and return it.

    Args:
        folder: of the checkpoint.
        out: folder to write to.
        force: whether to replace an existing folder.

    Raises:
        HeedError: there is no checkpoint or no finished epoch, or `out` exists.
    """
    check_free(out, force=force)
    checkpoint = Checkpoint(folder)
    metadata, tokenizer = checkpoint.metadata(), checkpoint.tokenizer()
    network, ngrams = checkpoint.network(), checkpoint.ngrams()
    max_tokens = metadata.network.max_tokens
    dev, outside = checkpoint.dev(), checkpoint.out_of_scope()
    held_out = HeldOutData(
        dev=tokenize_rows(dev, tokenizer, metadata.labels, max_tokens),
        out_of_scope=tokenize_rows(outside, tokenizer, None, max_tokens) if outside else None,
    )
    return build_bundle(
        network, ngrams, tokenizer, metadata, held_out, out,
        example=choose_example(dev.texts), force=force,
    )  # fmt: skip
