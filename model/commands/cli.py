"""`heed train` and `heed export`, whose options are many; the rest is in a few lines."""

import os
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from heed.model.errors import HeedError, to_install

if TYPE_CHECKING:
    from heed.model.inference.bundle import Bundle

Folder = Annotated[Path, typer.Option("--out", help="Folder to write the bundle to.")]
Force = Annotated[bool, typer.Option("--force", help="Replace what is there.")]


def print_note(line: str) -> None:
    """Tell the person at the terminal something."""
    print(line, file=sys.stderr)


def train(
    data: Annotated[
        list[Path],
        typer.Argument(
            metavar="DATA...",
            help=".csv, .tsv, .jsonl (each also .gz) or .parquet; or a public set: hf:NAME, "
            "hf:NAME:CONFIG, hf:NAME@SPLIT.",
        ),
    ],
    out: Folder,
    dev: Annotated[
        list[Path] | None,
        typer.Option(help="Rows to tune on; may be given several times; else some are set aside."),
    ] = None,
    test: Annotated[Path | None, typer.Option(help="Rows to report on, once, at the end.")] = None,
    text_column: Annotated[str, typer.Option(help="Column of the text.")] = "text",
    label_column: Annotated[str, typer.Option(help="Column of the label.")] = "label",
    name: Annotated[
        str | None, typer.Option(help="Name of the bundle; else that of its folder.")
    ] = None,
    version: Annotated[str | None, typer.Option(help="Version of the bundle; else 1.0.0.")] = None,
    data_name: Annotated[str | None, typer.Option(help="Name of the data, for the card.")] = None,
    terms: Annotated[str | None, typer.Option(help="Terms of the data, for the card.")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Folder to save the training in.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint.")] = False,
    logdir: Annotated[Path | None, typer.Option(help="Folder for TensorBoard's curves.")] = None,
    init_embeddings: Annotated[
        str | None,
        typer.Option(
            help="Sentence encoder to start from: a folder, or a name on the hub; else what is "
            "known of English words, if the text is English; none: nothing."
        ),
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(help="Sentence encoder to fine-tune and learn from: a folder, or a name."),
    ] = None,
    unlabelled: Annotated[
        Path | None, typer.Option(help="More text for the teacher to label; labels are not read.")
    ] = None,
    target_precision: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Share of the labels given that is to be right; else none is given."
        ),
    ] = None,
    out_of_scope: Annotated[
        Path | None, typer.Option(help="Texts that no label fits, to choose when to give none.")
    ] = None,
    tune: Annotated[
        float | None,
        typer.Option(min=0.01, help="Minutes to search for better settings on dev, beforehand."),
    ] = None,
    force: Force = False,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Decides everything random.")] = 0,
    epochs: Annotated[int | None, typer.Option(min=1, help="Most passes over the data.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Texts of one update.")] = None,
    learning_rate: Annotated[
        float | None, typer.Option(min=1e-7, max=1, help="The highest.")
    ] = None,
    vocabulary: Annotated[
        int | None, typer.Option(min=16, max=65536, help="Most tokens to learn.")
    ] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, max=4096, help="Tokens read of a text.")
    ] = None,
    width: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Size of a token's vector.")
    ] = None,
    blocks: Annotated[
        int | None, typer.Option(min=0, max=12, help="Self-attention blocks.")
    ] = None,
    heads: Annotated[
        int | None, typer.Option(min=1, max=64, help="Heads; they divide the width.")
    ] = None,
    hidden: Annotated[int | None, typer.Option(min=1, max=8192, help="Feed-forward width.")] = None,
    dropout: Annotated[float | None, typer.Option(min=0, max=0.9, help="Share set to 0.")] = None,
    attention_guidance: Annotated[
        float | None,
        typer.Option(min=0, max=10, help="Weight of drawing attention to what speaks for a label."),
    ] = None,
) -> None:
    """Train a classifier on labelled text and write it as a bundle.

    What is not named follows from the data.
    """
    require_training()
    from heed.model.commands.options import TrainOptions
    from heed.model.commands.train import train_bundle

    sizes = {
        "seed": seed, "epochs": epochs, "batch": batch, "learning_rate": learning_rate,
        "vocabulary": vocabulary, "max_tokens": max_tokens, "width": width, "blocks": blocks,
        "heads": heads, "hidden": hidden, "dropout": dropout,
        "attention_guidance": attention_guidance,
    }  # fmt: skip
    order = TrainOptions(
        tuple(data), out, tuple(dev or ()), test, text_column, label_column, name, version,
        data_name, terms, checkpoint, resume, logdir, force, init_embeddings, teacher,
        unlabelled, target_precision, out_of_scope, tune,
        command=shlex.join(["heed", *sys.argv[1:]]),
        chosen={key: value for key, value in sizes.items() if value is not None},
    )  # fmt: skip
    _announce(train_bundle(order, print_note))


def export(
    checkpoint: Annotated[
        Path, typer.Argument(help="Folder that `heed train --checkpoint` wrote.")
    ],
    out: Folder,
    force: Force = False,
) -> None:
    """Make a bundle of a checkpoint's best epoch so far."""
    require_training()
    from heed.model.commands.train import export_checkpoint

    _announce(export_checkpoint(checkpoint, out, force=force))


def require_training() -> None:
    """Raise `HeedError` where training cannot be had; to be called before PyTorch is loaded."""
    # Threads that wait for work by spinning slow each other down where cores are shared (measured:
    # 6 to 20 times). Read when PyTorch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    require_modules("torch", "onnx", "safetensors", "scipy", extra="train")


def require_modules(*modules: str, extra: str) -> None:
    """Raise `HeedError` if a module is not installed; it names the extra that installs it."""
    for module in modules:
        if find_spec(module) is None:
            raise HeedError(f"{module} is not installed; run {to_install(extra)}")


def _announce(bundle: "Bundle") -> None:
    from heed.model.metrics.threshold import describe_threshold

    size = sum(file.stat().st_size for file in bundle.path.iterdir())
    scores = "; ".join(
        f"{part} accuracy {s['accuracy']:.4f}, macro-F1 {s['macro_f1']:.4f}, ECE {s['ece']:.4f}"
        for part, s in bundle.config.scores.items()
    )
    print(f"{bundle.path}: {size / 1e6:.1f} MB; {scores}")
    if threshold := describe_threshold(bundle.config):
        print(threshold)
