"""The command `heed`: each subcommand checks its options and calls one function."""

import json
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Literal

import typer
from typer.exceptions import TyperException

import heed
from heed.model.commands.cli import export, print_message, require_modules, require_training, train
from heed.model.errors import HeedError, TextError
from heed.service.process.options import settings_options
from heed.service.settings import Settings

app = typer.Typer(
    name="heed",
    help="Text classification that shows how much each word contributes to the label.",
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """Run the command and exit.

    The exit status is 0, or 2 with one line on stderr for bad usage or bad input, or 130 after
    Ctrl-C.
    """
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
        print("heed", heed.__version__)
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit.", callback=_print_version, is_eager=True
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


BundleFolder = Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder of the bundle.")]
Device = Annotated[
    Literal["auto", "cpu", "cuda"],
    typer.Option(help="Device that runs the network; auto uses CUDA where it is available."),
]


app.command()(train)
app.command()(export)


@app.command()
def evaluate(
    bundle: BundleFolder,
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            help="Labelled texts: .csv, .tsv, .jsonl (each also .gz) or .parquet; or a public "
            "data set, hf:NAME, hf:NAME:CONFIG or hf:NAME@SPLIT.",
        ),
    ],
    text_column: Annotated[str, typer.Option(help="Column of the text.")] = "text",
    label_column: Annotated[
        str | None,
        typer.Option(
            help="Column of the label [default: label, or binary in a file with rationales]."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    report: Annotated[
        Path | None, typer.Option(help="Folder to write an HTML page with plots to.")
    ] = None,
    explanations: Annotated[
        bool,
        typer.Option(
            "--explanations", help="Also measure how faithful several kinds of explanation are."
        ),
    ] = False,
    card: Annotated[
        bool,
        typer.Option(
            "--card", help="Write the table of --explanations into the bundle's model card."
        ),
    ] = False,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="Checkpoint folder of the bundle, for explanations by gradients; needs PyTorch."
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, help="Maximum number of texts for --explanations.")
    ] = 2000,
    device: Device = "cpu",
) -> None:
    """Score the ONNX model of a bundle on labelled texts.

    With --explanations, a .jsonl file may contain rationales. The field rationale or attention has
    one number for each word of the field tokens; or the field spans has character ranges
    [start, end). The explanations are then compared with the rationales.
    """
    require_modules("sklearn", "scipy", "matplotlib", "polars", extra="evaluate")
    if checkpoint:
        require_training()
    from heed.model.evaluation import evaluate_bundle
    from heed.model.report.tables import comparison_as_markdown, comparison_as_text, scores_as_text

    if card and not explanations:
        raise HeedError("--card writes the table of --explanations; add --explanations")
    found = evaluate_bundle(
        bundle, data, text_column=text_column, label_column=label_column, device=device,
        explanations=explanations, checkpoint=checkpoint, limit=limit,
    )  # fmt: skip
    if report:
        from heed.model.report.evaluation_report import write_report

        print_message(f"report: {write_report(found, report)}")
    if card and found.comparison:
        from heed.model.export import add_explanation_table
        from heed.model.inference import CARD

        path = bundle / CARD
        table = comparison_as_markdown(found.comparison)
        text = add_explanation_table(path.read_text("utf-8"), found.data_name, table)
        path.write_text(text, "utf-8")
    if as_json:
        print(json.dumps(found.to_dict(), ensure_ascii=False, allow_nan=False))
        return
    print(scores_as_text(found))
    if found.comparison:
        print("\n" + comparison_as_text(found.comparison))


@app.command()
def classify(
    bundle: BundleFolder,
    texts: Annotated[
        list[str],
        typer.Argument(
            help="Texts, each in quotes; - reads one text from each line of standard input.",
            metavar="TEXT",
        ),
    ],
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print one JSON object per text, as POST /classify returns."),
    ] = False,
    explain: Annotated[
        Literal["none", "attention", "contributions"],
        typer.Option(
            help="Weights of the tokens: none, their attention, or their signed contributions to "
            "a logit."
        ),
    ] = "attention",
    explain_label: Annotated[
        str | None,
        typer.Option(help="Label that contributions explain [default: the most probable one]."),
    ] = None,
    unit: Annotated[
        Literal["token", "word"],
        typer.Option(help="Weights for each token, or summed for each word."),
    ] = "token",
    truncate: Annotated[
        bool,
        typer.Option(
            help="Read the first tokens of a text that is longer than the bundle allows, or "
            "refuse it."
        ),
    ] = True,
    top_k: Annotated[
        int | None,
        typer.Option(min=1, help="Number of labels to print, most probable first [default: all]."),
    ] = None,
    min_confidence: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Give no label if its probability is below this number [default: the bundle's].",
        ),
    ] = None,
    save: Annotated[
        Path | None, typer.Option(help="Also write the answers to this HTML file.")
    ] = None,
    device: Device = "cpu",
) -> None:
    """Classify texts and shade their words by attention or contribution."""
    from rich.console import Console

    from heed.model.commands.classify import read_lines, save_page
    from heed.model.report.render import to_terminal

    if texts == ["-"]:
        texts = read_lines(sys.stdin.buffer)
    classifier = heed.load(bundle, device)
    try:
        found = classifier.classify(
            texts, explain=explain, explain_label=explain_label, unit=unit, truncate=truncate,
            top_k=top_k, min_confidence=min_confidence,
        )  # fmt: skip
    except TextError as error:
        raise TextError(f"text {error.index + 1}: {error.reason}") from error
    source = {"model": classifier.name, "version": classifier.version}
    answers = [source | answer.to_dict() for answer in found]
    if save:
        save_page(texts, answers, save)
        print_message(f"saved: {save}")
    console = Console(highlight=False, soft_wrap=True)
    for text, answer in zip(texts, answers, strict=True):
        if as_json:
            print(json.dumps(answer, ensure_ascii=False))
        else:
            console.print(to_terminal(text, answer))


if __name__ == "__main__":
    main()
