"""`heed train` and `heed export` on the command line."""

import os
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from heed.model.errors import HeedError, to_install

if TYPE_CHECKING:
    from heed.model.inference import Bundle

TRAINING_MODULES = ("torch", "onnx", "safetensors", "scipy")

Out = Annotated[Path, typer.Option("--out", help="Folder to write the bundle to.")]
Force = Annotated[
    bool, typer.Option("--force", help="Replace an existing bundle or checkpoint folder.")
]


def print_message(line: str) -> None:
    """Print a progress message to stderr."""
    print(line, file=sys.stderr)


def train(
    data: Annotated[
        list[Path],
        typer.Argument(
            metavar="DATA...",
            help="Files of labelled texts: .csv, .tsv, .jsonl (each also .gz) or .parquet; or a "
            "public data set: hf:NAME, hf:NAME:CONFIG, hf:NAME@SPLIT.",
        ),
    ],
    out: Out,
    dev: Annotated[
        list[Path] | None,
        typer.Option(
            help="File of rows to choose the best epoch with. May be given several times. Default: "
            "a tenth to a fifth of the training rows, at most 10,000."
        ),
    ] = None,
    test: Annotated[
        Path | None, typer.Option(help="File of rows to score the finished bundle on.")
    ] = None,
    text_column: Annotated[str, typer.Option(help="Name of the column with the texts.")] = "text",
    label_column: Annotated[
        str, typer.Option(help="Name of the column with the labels.")
    ] = "label",
    name: Annotated[
        str | None,
        typer.Option(help="Name of the bundle. Default: the name of the folder --out."),
    ] = None,
    version: Annotated[
        str | None, typer.Option(help="Version of the bundle. Default: 1.0.0.")
    ] = None,
    data_name: Annotated[
        str | None,
        typer.Option(help="Name of the data for the model card. Default: the file names."),
    ] = None,
    terms: Annotated[
        str | None,
        typer.Option(help="Licence or terms of the data for the model card. Default: not stated."),
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="Folder to save the training in. Default: it is not saved.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Resume the training saved in --checkpoint.")
    ] = False,
    logdir: Annotated[
        Path | None, typer.Option(help="Folder for TensorBoard. Default: no curves are written.")
    ] = None,
    init_embeddings: Annotated[
        str | None,
        typer.Option(
            help="Sentence encoder whose token vectors initialize the embeddings: a folder, a name "
            "on the hub, or none for random vectors. Default: vectors that are part of Heed if the "
            "texts are English and there are fewer than 50,000 rows."
        ),
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            help="Sentence encoder to fine-tune and distil: a folder, or a name on the hub. "
            "Default: no distillation."
        ),
    ] = None,
    unlabelled: Annotated[
        Path | None,
        typer.Option(
            help="File of additional texts for the teacher to label. Its labels are not read."
        ),
    ] = None,
    target_precision: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Minimum precision on dev. Texts below the matching probability get no label. "
            "Default: every text gets a label.",
        ),
    ] = None,
    out_of_scope: Annotated[
        Path | None,
        typer.Option(
            help="File of texts that no label fits. The threshold below which a text gets no label "
            "is chosen with them."
        ),
    ] = None,
    tune: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            help="Minutes to search for better hyperparameters on dev before training. Default: "
            "no search.",
        ),
    ] = None,
    force: Force = False,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Random seed.")] = 0,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="Maximum number of epochs. Default: 3 to 40, for 4,000 updates."),
    ] = None,
    batch: Annotated[
        int | None,
        typer.Option(min=1, help="Texts per update. Default: 8 to 128, growing with the data."),
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(min=1e-7, max=1, help="Peak learning rate. Default: 0.003.")
    ] = None,
    vocabulary: Annotated[
        int | None,
        typer.Option(
            min=16,
            max=65536,
            help="Maximum number of tokens of the tokenizer. Default: 1,000 to 16,000, growing "
            "with the data.",
        ),
    ] = None,
    max_tokens: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=4096,
            help="Maximum number of tokens of a text; longer texts are cut. Default: covers 99 % "
            "of the texts, at most 512.",
        ),
    ] = None,
    width: Annotated[
        int | None,
        typer.Option(min=1, max=1024, help="Size of the token vectors. Default: 128."),
    ] = None,
    blocks: Annotated[
        int | None, typer.Option(min=0, max=12, help="Self-attention blocks. Default: 1.")
    ] = None,
    heads: Annotated[
        int | None,
        typer.Option(
            min=1, max=64, help="Attention heads per block; they must divide --width. Default: 4."
        ),
    ] = None,
    hidden: Annotated[
        int | None,
        typer.Option(min=1, max=8192, help="Width of the feed-forward layers. Default: 256."),
    ] = None,
    dropout: Annotated[
        float | None,
        typer.Option(
            min=0, max=0.9, help="Share of activations set to 0 in training. Default: 0.2."
        ),
    ] = None,
    attention_guidance: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=10,
            help="Weight of the loss that moves attention to tokens which support the label. "
            "Default: 0.03.",
        ),
    ] = None,
) -> None:
    """Train a classifier on labelled texts and write it as a bundle.

    Only DATA and --out are required. Other defaults follow from the data.
    """
    require_training()
    from heed.model.commands.options import TrainOptions
    from heed.model.commands.train import train_bundle
    from heed.model.data import DataFiles

    overrides = {
        "epochs": epochs, "batch": batch, "learning_rate": learning_rate,
        "vocabulary": vocabulary, "max_tokens": max_tokens, "width": width, "blocks": blocks,
        "heads": heads, "hidden": hidden, "dropout": dropout,
        "attention_guidance": attention_guidance,
    }  # fmt: skip
    options = TrainOptions(
        files=DataFiles(
            train=tuple(data),
            dev=tuple(dev or ()),
            test=test,
            unlabelled=unlabelled,
            out_of_scope=out_of_scope,
            text_column=text_column,
            label_column=label_column,
        ),
        out=out,
        name=name,
        version=version,
        data_name=data_name,
        terms=terms,
        checkpoint=checkpoint,
        resume=resume,
        logdir=logdir,
        force=force,
        init_embeddings=init_embeddings,
        teacher=teacher,
        target_precision=target_precision,
        tune_minutes=tune,
        seed=seed,
        command=shlex.join(["heed", *sys.argv[1:]]),
        overrides={field: value for field, value in overrides.items() if value is not None},
    )
    _print_summary(train_bundle(options, print_message))


def export(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SOURCE", help="Folder that `heed train --checkpoint` wrote, or a bundle."
        ),
    ],
    out: Out,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="FIELD=VALUE",
            help="New value of a field of the bundle's config.json: name, version, min_confidence "
            "or temperature. Can be given several times.",
        ),
    ] = None,
    force: Force = False,
) -> None:
    """Write the bundle of a checkpoint's best epoch so far, or a changed copy of a bundle.

    A copy of a bundle has the current bundle format.
    """
    from heed.model.bundles import is_bundle

    if is_bundle(source):
        from heed.model.commands.edit import edit_bundle

        bundle = edit_bundle(source, out, settings or (), force=force)
        print(f"{bundle.path}: {bundle.config.name} {bundle.config.version}")
        return
    if settings:
        raise HeedError(f"{source}: is not a bundle; --set changes bundles, not checkpoints")
    require_training()
    from heed.model.commands.train import export_checkpoint

    _print_summary(export_checkpoint(source, out, force=force))


def require_training() -> None:
    """Raise `HeedError` if a package for training is missing. Call it before importing PyTorch."""
    # Waiting threads that spin slow down others on shared cores, by 6 to 20 times as measured.
    # PyTorch reads the variable when it is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    require_modules(*TRAINING_MODULES, extra="train")


def require_modules(*modules: str, extra: str) -> None:
    """Raise `HeedError` if a module is missing; it names the pip line that installs it.

    Args:
        modules: import names.
        extra: the extra of Heed's distribution that has them.
    """
    for module in modules:
        if find_spec(module) is None:
            raise HeedError(f"{module} is not installed; run {to_install(extra)}")


def _print_summary(bundle: "Bundle") -> None:
    from heed.model.metrics import describe_threshold

    size = sum(file.stat().st_size for file in bundle.path.iterdir())
    scores = "; ".join(
        f"{part} accuracy {s['accuracy']:.4f}, macro-F1 {s['macro_f1']:.4f}, ECE {s['ece']:.4f}"
        for part, s in bundle.config.scores.items()
    )
    print(f"{bundle.path}: {size / 1e6:.1f} MB; {scores}")
    if threshold := describe_threshold(bundle.config):
        print(threshold)
