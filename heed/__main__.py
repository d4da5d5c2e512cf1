"""The command `heed`: each subcommand composes `model/` or `service/` in a few lines."""

import json
import sys
from importlib import metadata
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Literal

import typer
from typer.exceptions import TyperException

from heed.model.commands.cli import export, print_note, require_modules, require_training, train
from heed.model.errors import HeedError
from heed.service.process.options import settings_options
from heed.service.settings import Settings

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
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")
    try:
        status = app(standalone_mode=False)
    except (HeedError, TyperException, OSError) as error:
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
    from heed.service.process.supervisor import serve as run

    return run(Settings.read(**flags))


Device = Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="What the network runs on.")]


app.command()(train)
app.command()(export)


@app.command()
def evaluate(
    bundle: Annotated[Path, typer.Argument(help="Folder of a bundle.")],
    data: Annotated[
        Path,
        typer.Argument(help=".csv, .tsv, .jsonl (each also .gz) or .parquet; or a set hf:NAME."),
    ],
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
    require_modules("sklearn", *(["matplotlib"] if report else []))
    if checkpoint:
        require_training()
    from heed.model.evaluation.run import evaluate_bundle
    from heed.model.report.tables import comparison_as_markdown, comparison_as_text, scores_as_text

    if card and not explanations:
        raise HeedError("--card writes what --explanations finds; add that too")
    found = evaluate_bundle(
        bundle, data, text_column=text_column, label_column=label_column, device=device,
        explanations=explanations, checkpoint=checkpoint, limit=limit,
    )  # fmt: skip
    if report:
        from heed.model.report.page import write_report

        print_note(f"report: {write_report(found, report)}")
    if card and found.comparison:
        from heed.model.export.card import add_explanation_table
        from heed.model.inference.bundle import CARD

        place = bundle / CARD
        table = comparison_as_markdown(found.comparison)
        text = add_explanation_table(place.read_text("utf-8"), found.data_name, table)
        place.write_text(text, "utf-8")
    if as_json:
        print(json.dumps(found.to_dict(), ensure_ascii=False, allow_nan=False))
        return
    print(scores_as_text(found))
    if found.comparison:
        print("\n" + comparison_as_text(found.comparison))


@app.command()
def classify(
    bundle: Annotated[Path, typer.Argument(help="Folder of a bundle.")],
    texts: Annotated[
        list[str],
        typer.Argument(help="Texts, in quotes; - reads one a line from stdin.", metavar="TEXT..."),
    ],
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

    from heed.model.commands import classify as command
    from heed.model.report.render import to_terminal

    if texts == ["-"]:
        texts = command.read_lines(sys.stdin.buffer)
    answers = command.classify(
        bundle, texts, explain=explain, explain_label=explain_label, unit=unit, top_k=top_k,
        min_confidence=min_confidence, device=device,
    )  # fmt: skip
    if save:
        command.save(texts, answers, save)
        print_note(f"saved: {save}")
    console = Console(highlight=False, soft_wrap=True)
    for text, answer in zip(texts, answers, strict=True):
        if as_json:
            print(json.dumps(answer, ensure_ascii=False))
        else:
            console.print(to_terminal(text, answer))


if __name__ == "__main__":
    main()
