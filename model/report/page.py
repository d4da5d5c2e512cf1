"""`heed evaluate --report`: one self-contained HTML page, which asks nothing of any server."""

import base64
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

import numpy as np
from msgspec import to_builtins

from heed.model.errors import DataError
from heed.model.evaluation.comparison import ExplanationComparison
from heed.model.evaluation.run import Evaluation
from heed.model.inference.response import build_answer
from heed.model.metrics.classification import ClassificationScores
from heed.model.report.plots import (
    confidence_histogram,
    confusion_image,
    deletion_curves,
    reliability_diagram,
    risk_coverage_curve,
)
from heed.model.report.render import to_html_text
from heed.model.report.tables import comparison_cells, comparison_legend, comparison_title

PAGE = "index.html"
MAX_ERRORS = 25
"""Errors that are shown."""
MATRIX_LABELS = 24
"""Up to this many labels the confusion matrix is a table, above it an image."""
LONG_TABLE = 24
"""Rows from which a table scrolls."""


def write_report(examination: Evaluation, folder: Path) -> Path:
    """Write the page into a folder, which is made if need be; returns its path.

    Raises:
        DataError: the folder cannot be written.
    """
    page = folder / PAGE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        page.write_text(report(examination), encoding="utf-8")
    except OSError as error:
        raise DataError(f"{page}: cannot be written: {error.strerror}") from error
    return page


def report(examination: Evaluation) -> str:
    """The page: scores, calibration, labels, explanations if compared, and the worst errors."""
    scores, config = examination.scores, examination.classifier.config
    title = f"{config.name} {config.version} on {examination.data_name}"
    sections = [
        _head(examination),
        _calibration(examination),
        _confusion(scores),
        _labels(scores),
        "" if examination.comparison is None else _comparison(examination.comparison),
        _errors(examination),
    ]
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title>",
            f"<style>\n{_style('shading.css')}{_style('report.css')}</style>",
            "</head>\n<body>\n<main>",
            *sections,
            "</main>\n</body>\n</html>\n",
        ]
    )


def _style(name: str) -> str:
    return (files(__package__) / name).read_text("utf-8")


def _head(examination: Evaluation) -> str:
    scores, config = examination.scores, examination.classifier.config
    figures = {
        "accuracy": f"{scores.accuracy:.4f}",
        "macro-F1": f"{scores.macro_f1:.4f}",
        "ECE, 15 bins": f"{scores.ece:.4f}",
        "log loss": f"{scores.log_loss:.4f}",
        "Brier score": f"{scores.brier:.4f}",
        "rows": f"{scores.n:,}",
    }
    if scores.min_confidence is not None:
        figures[f"answered, from {scores.min_confidence:.2f}"] = f"{scores.coverage:.1%}"
        if scores.covered_accuracy is not None:
            figures["accuracy of these"] = f"{scores.covered_accuracy:.4f}"
    items = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{value}</dd></div>" for name, value in figures.items()
    )
    return (
        f"<header><h1>{escape(config.name)} <small>{escape(config.version)}</small></h1>"
        f"<p>Measured on {escape(examination.data_name)} with the files of the bundle.</p>"
        f'<dl class="figures">{items}</dl></header>'
    )


def _calibration(examination: Evaluation) -> str:
    scores = examination.scores
    confidence = examination.probabilities.max(axis=1)
    right = examination.probabilities.argmax(axis=1) == examination.truth
    plots = [
        (
            reliability_diagram(scores.reliability),
            "Bars on the dashed line: of answers given with probability p, a share of p is right.",
        ),
        (
            confidence_histogram(confidence, right),
            "How sure the answers were.",
        ),
        (
            risk_coverage_curve(confidence, right, scores.min_confidence),
            "Errors left when only the surest answers are given and the others withheld.",
        ),
    ]
    figures = "".join(
        f"<figure>{svg}<figcaption>{caption}</figcaption></figure>" for svg, caption in plots
    )
    return f'<section><h2>Probabilities</h2><div class="plots">{figures}</div></section>'


def _confusion(scores: ClassificationScores) -> str:
    names = [each.label for each in scores.labels]
    if len(names) <= MATRIX_LABELS:
        rows = []
        for truth, row in enumerate(scores.confusion):
            cells = "".join(
                f'<td class="{"right" if given == truth else "wrong"}" '
                f'style="--share:{count / max(1, sum(row)):.3f}">{count or ""}</td>'
                for given, count in enumerate(row)
            )
            rows.append(f"<tr><th>{escape(names[truth])}</th>{cells}</tr>")
        head = "".join(f"<th>{escape(name)}</th>" for name in names)
        body = (
            '<div class="wide" tabindex="0"><table class="matrix">'
            f"<thead><tr><th></th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
        )
    else:
        image = base64.b64encode(confusion_image(scores.confusion)).decode()
        pairs = [[truth, given, f"{count:,}"] for truth, given, count in scores.confused_pairs()]
        body = (
            f'<div class="plots"><img class="matrix" alt="Confusion matrix of {len(names)} labels" '
            f'src="data:image/png;base64,{image}">'
            f"{_table(['most confused: label', 'given', 'rows'], pairs)}</div>"
        )
    return (
        "<section><h2>What was taken for what</h2><p>A row is a label, a column the label that was "
        f"given. The stronger its colour, the larger its share of the row.</p>{body}</section>"
    )


def _labels(scores: ClassificationScores) -> str:
    rows = [
        [
            each.label,
            f"{each.precision:.3f}",
            f"{each.recall:.3f}",
            f"{each.f1:.3f}",
            f"{each.support:,}",
        ]
        for each in scores.labels
    ]
    return (
        "<section><h2>Labels</h2>"
        f"{_table(['label', 'precision', 'recall', 'F1', 'rows'], rows)}</section>"
    )


def _comparison(comparison: ExplanationComparison) -> str:
    head, *rows = comparison_cells(comparison)
    curves = deletion_curves({row.method: row.measures for row in comparison.rows})
    legend = "<br>".join(escape(line) for line in comparison_legend(comparison))
    return (
        f"<section><h2>{comparison_title(comparison)}</h2>"
        f"{_table(head, rows, emphasised='contributions')}<p>{legend}</p>"
        f"<figure>{curves}<figcaption>Left, higher is better; right, lower.</figcaption></figure>"
        "</section>"
    )


def _errors(examination: Evaluation) -> str:
    """The wrong answers that were given with the greatest probability."""
    probabilities, truth = examination.probabilities, examination.truth
    config, data = examination.classifier.config, examination.data
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != truth)
    worst = wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")][
        :MAX_ERRORS
    ].tolist()
    texts = [data.texts[place] for place in worst]
    items = []
    for place, text, prediction in zip(
        worst, texts, examination.classifier.predict(texts, "contributions"), strict=True
    ):
        told = to_builtins(
            build_answer(prediction, config, text=text, explain="contributions", unit="word")
        )
        given, probability = next(iter(told["probabilities"].items()))
        items.append(
            f"<article><p>Row {data.rows[place]} is <b>{escape(data.labels[place])}</b>, "
            f"was given <b>{escape(given)}</b> with {probability:.3f}</p>"
            f'<p class="text" dir="auto">{to_html_text(text, told)}</p></article>'
        )
    if not items:
        return "<section><h2>Errors</h2><p>None.</p></section>"
    return (
        f"<section><h2>The surest errors</h2><p>{len(items)} of {len(wrong):,}. Each word is "
        "shaded by how much it moved the score of the label that was given: "
        f"{_sample('for', '+', 'raised it')} or {_sample('against', '−', 'lowered it')}. "
        f"A pointer that rests on a word shows its numbers.</p>{''.join(items)}</section>"
    )


def _sample(kind: str, sign: str, text: str) -> str:
    return f'<mark class="{kind}" style="--share:.7" data-sign="{sign}">{text}</mark>'


def _table(head: Sequence[str], rows: Iterable[Sequence[str]], emphasised: str = "") -> str:
    rows = list(rows)
    body = "".join(
        ('<tr class="own">' if row[0] == emphasised else "<tr>")
        + "".join(f"<td>{escape(cell)}</td>" for cell in row)
        + "</tr>"
        for row in rows
    )
    heads = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    return (
        f'<div class="{"scroll" if len(rows) > LONG_TABLE else "wide"}" tabindex="0"><table>'
        f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )
