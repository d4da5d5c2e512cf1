"""`heed evaluate --report`: one self-contained HTML page. It loads nothing from any server."""

import base64
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template

import numpy as np
from msgspec import to_builtins

from heed.model.errors import DataError
from heed.model.evaluation import Evaluation, ExplanationComparison
from heed.model.inference import build_answer
from heed.model.metrics import ClassificationScores
from heed.model.report.plots import (
    confidence_histogram,
    confusion_image,
    deletion_curves,
    reliability_diagram,
    risk_coverage_curve,
)
from heed.model.report.render import html_page, read_resource, to_html_text
from heed.model.report.tables import comparison_cells, comparison_legend, comparison_title

PAGE = "index.html"
MAX_ERRORS = 25
"""Maximum number of errors on the page."""
MAX_MATRIX_LABELS = 24
"""Above this many labels, an image replaces the table of the confusion matrix."""
SCROLL_ROWS = 24
"""Above this many rows, a table scrolls."""


def write_report(evaluation: Evaluation, folder: Path) -> Path:
    """Write the page to a folder, which is created if needed. Returns the path of the page.

    Raises:
        DataError: the page cannot be written.
    """
    page = folder / PAGE
    try:
        folder.mkdir(parents=True, exist_ok=True)
        page.write_text(render_report(evaluation), encoding="utf-8")
    except OSError as error:
        raise DataError(
            f"{page}: cannot be written: {error.strerror}; choose another folder with --report"
        ) from error
    return page


def render_report(evaluation: Evaluation) -> str:
    """Render the page: metrics, calibration, labels, explanations if compared, and errors."""
    scores, config = evaluation.scores, evaluation.classifier.config
    confidence = evaluation.probabilities.max(axis=1)
    right = evaluation.probabilities.argmax(axis=1) == evaluation.truth
    body = Template(read_resource("evaluation_report.html")).substitute(
        name=escape(config.name),
        version=escape(config.version),
        data=escape(evaluation.data_name),
        figures=_figures(scores),
        reliability=reliability_diagram(scores.reliability),
        histogram=confidence_histogram(confidence, right),
        coverage=risk_coverage_curve(confidence, right, scores.min_confidence),
        confusion=_confusion(scores),
        labels=_labels(scores),
        explanations=_explanations(evaluation.comparison) if evaluation.comparison else "",
        errors=_errors(evaluation),
    )
    title = f"{config.name} {config.version} on {evaluation.data_name}"
    return html_page(title, body, ["shading.css", "evaluation_report.css"])


def _figures(scores: ClassificationScores) -> str:
    figures = {
        "accuracy": f"{scores.accuracy:.4f}",
        "macro-F1": f"{scores.macro_f1:.4f}",
        "ECE, 15 bins": f"{scores.ece:.4f}",
        "log loss": f"{scores.log_loss:.4f}",
        "Brier score": f"{scores.brier:.4f}",
        "rows": f"{scores.n:,}",
    }
    if scores.min_confidence is not None:
        figures[f"coverage at {scores.min_confidence:.2f}"] = f"{scores.coverage:.1%}"
        if scores.covered_accuracy is not None:
            figures["covered accuracy"] = f"{scores.covered_accuracy:.4f}"
    return "".join(
        f"<div><dt>{escape(name)}</dt><dd>{value}</dd></div>" for name, value in figures.items()
    )


def _confusion(scores: ClassificationScores) -> str:
    names = [each.label for each in scores.labels]
    if len(names) > MAX_MATRIX_LABELS:
        image = base64.b64encode(confusion_image(scores.confusion)).decode()
        pairs = [[truth, label, f"{count:,}"] for truth, label, count in scores.confused_pairs()]
        return (
            f'<div class="plots"><img class="matrix" alt="Confusion matrix of {len(names)} labels" '
            f'src="data:image/png;base64,{image}">'
            f"{_table(['most confused: label', 'predicted', 'rows'], pairs)}</div>"
        )
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    rows = []
    for truth, row in enumerate(scores.confusion):
        cells = "".join(
            f'<td class="{"right" if predicted == truth else "wrong"}" '
            f'style="--share:{count / max(1, sum(row)):.3f}">{count or ""}</td>'
            for predicted, count in enumerate(row)
        )
        rows.append(f"<tr><th>{escape(names[truth])}</th>{cells}</tr>")
    return (
        '<div class="wide" tabindex="0"><table class="matrix">'
        f"<thead><tr><th></th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _labels(scores: ClassificationScores) -> str:
    rows = [
        [s.label, f"{s.precision:.3f}", f"{s.recall:.3f}", f"{s.f1:.3f}", f"{s.support:,}"]
        for s in scores.labels
    ]
    return _table(["label", "precision", "recall", "F1", "rows"], rows)


def _explanations(comparison: ExplanationComparison) -> str:
    head, *rows = comparison_cells(comparison)
    curves = deletion_curves({each.method: each.scores for each in comparison.methods})
    legend = "<br>".join(escape(line) for line in comparison_legend(comparison))
    return (
        f"<section>\n<h2>{comparison_title(comparison)}</h2>\n"
        f"{_table(head, rows, emphasised='contributions')}<p>{legend}</p>\n"
        f"<figure>{curves}<figcaption>On the left, higher is better. On the right, lower is better."
        "</figcaption></figure>\n</section>"
    )


def _errors(evaluation: Evaluation) -> str:
    """Render the wrong predictions with the highest probabilities."""
    probabilities, truth = evaluation.probabilities, evaluation.truth
    config, data = evaluation.classifier.config, evaluation.data
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != truth)
    by_confidence = wrong[np.argsort(-probabilities[wrong].max(axis=1), kind="stable")]
    shown = by_confidence[:MAX_ERRORS].tolist()
    if not shown:
        return "<p>None.</p>"
    texts = [data.texts[index] for index in shown]
    articles = []
    for index, text, prediction in zip(
        shown, texts, evaluation.classifier.predict(texts, "contributions"), strict=True
    ):
        answer = to_builtins(
            build_answer(prediction, config, text=text, explain="contributions", unit="word")
        )
        predicted, probability = next(iter(answer["probabilities"].items()))
        articles.append(
            f"<article><p>Row {data.rows[index]} is <b>{escape(data.labels[index])}</b>, "
            f"predicted as "
            f"<b>{escape(predicted)}</b> with probability {probability:.3f}</p>"
            f'<p class="text" dir="auto">{to_html_text(text, answer)}</p></article>'
        )
    return (
        f"<p>{len(shown)} of {len(wrong):,}. Each word is shaded by its contribution to the score "
        f"of the predicted label: {_example('for', '+', 'raises it')} or "
        f"{_example('against', '−', 'lowers it')}. Hover over a word to see its numbers.</p>\n"
        + "\n".join(articles)
    )


def _example(kind: str, sign: str, text: str) -> str:
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
        f'<div class="{"scroll" if len(rows) > SCROLL_ROWS else "wide"}" tabindex="0"><table>'
        f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )
