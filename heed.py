"""The command `heed`: each subcommand composes `model/` or `service/` in a few lines."""

import json
import os
import shlex
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from typer.exceptions import TyperException

from model.errors import HeedError
from service.command import settings_options
from service.settings import Settings

if TYPE_CHECKING:
    from model.bundle import Bundle

app = typer.Typer(
    name="heed",
    help="Text classification that shows what it read.",
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command: exit status 0, or 2 with one plain line on stderr for bad usage or input."""
    try:
        status = app(standalone_mode=False)
    except (HeedError, TyperException) as error:
        message = error.format_message() if isinstance(error, TyperException) else str(error)
        print("heed:", " ".join(message.split()), file=sys.stderr)
        sys.exit(2)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(130)
    sys.exit(status if isinstance(status, int) else 0)


def _print_version(asked: bool) -> None:
    if asked:
        print("heed", metadata.version("heed-classifier"))
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and end.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command()
@settings_options
def serve(**flags: str | None) -> int:
    """Serve bundles over HTTP."""
    from service.supervisor import serve as run

    return run(Settings.read(**flags))


Folder = Annotated[Path, typer.Option("--out", help="Folder to write the bundle to.")]
Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="What the network runs on.")]
Force = Annotated[bool, typer.Option("--force", help="Replace what is there.")]


def _note(line: str) -> None:
    print(line, file=sys.stderr)


@app.command()
def train(
    data: Annotated[
        list[Path],
        typer.Argument(metavar="DATA...", help=".csv, .tsv, .jsonl (each also .gz) or .parquet."),
    ],
    out: Folder,
    dev: Annotated[
        Path | None, typer.Option(help="Rows to tune on; else some are set aside.")
    ] = None,
    test: Annotated[Path | None, typer.Option(help="Rows to report on, once, at the end.")] = None,
    text_column: Annotated[str, typer.Option(help="Column of the text.")] = "text",
    label_column: Annotated[str, typer.Option(help="Column of the label.")] = "label",
    name: Annotated[
        str | None, typer.Option(help="Name of the bundle; else that of its folder.")
    ] = None,
    version: Annotated[str, typer.Option(help="Version of the bundle.")] = "1.0.0",
    data_name: Annotated[str | None, typer.Option(help="Name of the data, for the card.")] = None,
    terms: Annotated[str | None, typer.Option(help="Terms of the data, for the card.")] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Folder to save the training in.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint.")] = False,
    logdir: Annotated[Path | None, typer.Option(help="Folder for TensorBoard's curves.")] = None,
    init_embeddings: Annotated[
        str | None,
        typer.Option(help="Sentence encoder to start from: a folder, or a name on the hub."),
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
) -> None:
    """Train a classifier on labelled text and write it as a bundle.

    What is not named follows from the data.
    """
    _needs_training()
    from model.order import Order
    from model.pipeline import train_bundle

    sizes = {
        "seed": seed, "epochs": epochs, "batch": batch, "learning_rate": learning_rate,
        "vocabulary": vocabulary, "max_tokens": max_tokens, "width": width, "blocks": blocks,
        "heads": heads, "hidden": hidden, "dropout": dropout,
    }  # fmt: skip
    order = Order(
        tuple(data), out, dev, test, text_column, label_column, name, version, data_name, terms,
        checkpoint, resume, logdir, force, init_embeddings, teacher, unlabelled,
        target_precision, out_of_scope,
        command=shlex.join(["heed", *sys.argv[1:]]),
        chosen={key: value for key, value in sizes.items() if value is not None},
    )  # fmt: skip
    _announce(train_bundle(order, _note))


@app.command()
def evaluate(
    bundle: Annotated[Path, typer.Argument(help="Folder of a bundle.")],
    data: Annotated[Path, typer.Argument(help=".csv, .tsv, .jsonl (each also .gz) or .parquet.")],
    text_column: Annotated[str, typer.Option(help="Column of the text.")] = "text",
    label_column: Annotated[
        str | None, typer.Option(help="Column of the label; else label, or binary beside marks.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    report: Annotated[
        Path | None, typer.Option(help="Folder to write a page with plots to.")
    ] = None,
    explanations: Annotated[
        bool, typer.Option("--explanations", help="Compare ways of explaining too.")
    ] = False,
    card: Annotated[
        bool, typer.Option("--card", help="Write that comparison into the bundle's model card.")
    ] = False,
    checkpoint: Annotated[
        Path | None, typer.Option(help="The bundle's training, for what needs gradients.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Most texts to explain.")] = 2000,
    device: Device = "cpu",
) -> None:
    """Score a bundle, as it is served, on labelled text.

    With --explanations, people's marks are compared where a .jsonl row has them: a number a word
    in rationale or attention, for the words in tokens, or characters [start, end) in spans.
    """
    _needs("sklearn", *(["matplotlib"] if report else []))
    if checkpoint:
        _needs_training()
    from model.examine import examine
    from model.listing import comparison_as_markdown, comparison_as_text, scores_as_text

    if card and not explanations:
        raise HeedError("--card writes what --explanations finds; add that too")
    found = examine(
        bundle, data, text_column=text_column, label_column=label_column, device=device,
        explanations=explanations, checkpoint=checkpoint, limit=limit,
    )  # fmt: skip
    if report:
        from model.report import write_report

        _note(f"report: {write_report(found, report)}")
    if card and found.comparison:
        from model.bundle import CARD
        from model.card import add_comparison

        place = bundle / CARD
        table = comparison_as_markdown(found.comparison)
        place.write_text(add_comparison(place.read_text(), data.name, table))
    if as_json:
        print(json.dumps(found.to_dict(), ensure_ascii=False, allow_nan=False))
        return
    print(scores_as_text(found))
    if found.comparison:
        print("\n" + comparison_as_text(found.comparison))


@app.command()
def classify(
    bundle: Annotated[Path, typer.Argument(help="Folder of a bundle.")],
    texts: Annotated[list[str], typer.Argument(help="Texts, in quotes.", metavar="TEXT...")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a line a text, as the API answers.")
    ] = False,
    explain: Annotated[
        Literal["none", "attention", "contributions"], typer.Option(help="The reasons to give.")
    ] = "attention",
    explain_label: Annotated[
        str | None, typer.Option(help="Whose contributions; else the most probable label's.")
    ] = None,
    unit: Annotated[Literal["token", "word"], typer.Option(help="What is shaded.")] = "token",
    top_k: Annotated[int | None, typer.Option(min=1, help="Labels to tell; else all.")] = None,
    min_confidence: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Below it no label is given; else the bundle's."),
    ] = None,
    save: Annotated[Path | None, typer.Option(help="HTML file to write the answers to.")] = None,
    device: Device = "cpu",
) -> None:
    """Classify texts and shade what was read: by attention, or by contributions."""
    from rich.console import Console

    from model import classify as command
    from model.shading import to_terminal

    answers = command.classify(
        bundle, texts, explain=explain, explain_label=explain_label, unit=unit, top_k=top_k,
        min_confidence=min_confidence, device=device,
    )  # fmt: skip
    if save:
        command.save(texts, answers, save)
        _note(f"saved: {save}")
    console = Console(highlight=False, soft_wrap=True)
    for text, answer in zip(texts, answers, strict=True):
        if as_json:
            print(json.dumps(answer, ensure_ascii=False))
        else:
            console.print(to_terminal(text, answer))


@app.command()
def export(
    checkpoint: Annotated[
        Path, typer.Argument(help="Folder that `heed train --checkpoint` wrote.")
    ],
    out: Folder,
    force: Force = False,
) -> None:
    """Make a bundle of a checkpoint's best epoch so far."""
    _needs_training()
    from model.pipeline import export_checkpoint

    _announce(export_checkpoint(checkpoint, out, force=force))


def _needs_training() -> None:
    # Threads that wait for work by spinning slow each other down where cores are shared (measured:
    # 6 to 20 times). Read when PyTorch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    _needs("torch", "onnx", "onnxscript", "safetensors", "scipy")


def _needs(*modules: str) -> None:
    for module in modules:
        if find_spec(module) is None:
            raise HeedError(
                f"{module} is not installed; `pip install 'heed-classifier[train]'` brings what "
                "this needs"
            )


def _announce(bundle: "Bundle") -> None:
    from model.abstain import in_words

    size = sum(file.stat().st_size for file in bundle.path.iterdir())
    scores = "; ".join(
        f"{part} accuracy {s['accuracy']:.4f}, macro-F1 {s['macro_f1']:.4f}, ECE {s['ece']:.4f}"
        for part, s in bundle.config.scores.items()
    )
    print(f"{bundle.path}: {size / 1e6:.1f} MB; {scores}")
    if threshold := in_words(bundle.config):
        print(threshold)


if __name__ == "__main__":
    main()
