"""What `heed evaluate` prints: plain tables."""

from collections.abc import Sequence

from rich.cells import cell_len

from heed.model.evaluation.comparison import ExplanationComparison
from heed.model.evaluation.measures import SEARCHED_TEXTS
from heed.model.evaluation.run import Evaluation
from heed.model.metrics.classification import ClassificationScores

MATRIX_LABELS = 12
"""Up to this many labels the confusion matrix is shown, above it the most confused pairs."""

COLUMNS = {
    "comprehensiveness": "compr.",
    "comprehensiveness_20%": "at 20 %",
    "sufficiency": "suffic.",
    "sufficiency_20%": "at 20 %",
    "normalised_comprehensiveness": "norm. c.",
    "normalised_sufficiency": "norm. s.",
    "rank_correlation": "tau",
    "polarity_agreement": "sign",
    "average_precision": "MAP",
    "precision_at_marks": "P@k",
    "marks_polarity_agreement": "polarity",
    "marks_correlation": "tau m.",
}
"""Measures of a comparison, and their heads in a table."""

LEGEND = {
    "comprehensiveness": "compr.: comprehensiveness, the fall of the probability without the top "
    "tokens; more is better",
    "sufficiency": "suffic.: sufficiency, its fall with the top tokens alone; less is better; both "
    "are means over the top 5, 10, 20 and 50 %",
    "normalised_comprehensiveness": "norm. c., norm. s.: over every share, the worst order being 0 "
    f"and the best 1, on {SEARCHED_TEXTS} short texts",
    "rank_correlation": "tau: Kendall's rank correlation with leave one out; sign: agreement with "
    "its sign",
    "average_precision": "MAP: mean average precision of ranking marked words first; P@k: "
    "precision at their number",
    "marks_polarity_agreement": "polarity: agreement with the sign that people gave a word",
    "marks_correlation": "tau m.: Kendall's rank correlation with graded marks",
}


def scores_as_text(examination: Evaluation) -> str:
    """The scores, a table of the labels and what was taken for what."""
    scores = examination.scores
    config = examination.classifier.config
    figures = [
        ["accuracy", f"{scores.accuracy:.4f}"],
        ["macro-F1", f"{scores.macro_f1:.4f}"],
        ["ECE, 15 bins", f"{scores.ece:.4f}"],
        ["log loss", f"{scores.log_loss:.4f}"],
        ["Brier score", f"{scores.brier:.4f}"],
    ]
    if scores.min_confidence is not None:
        right = "–" if scores.covered_accuracy is None else f"{scores.covered_accuracy:.4f}"
        figures += [
            [
                f"answered, probability at least {scores.min_confidence:.3g}",
                f"{scores.coverage:.4f}",
            ],
            ["accuracy of the answered", right],
        ]
    labels = [
        [s.label, f"{s.precision:.4f}", f"{s.recall:.4f}", f"{s.f1:.4f}", f"{s.support:,}"]
        for s in scores.labels
    ]
    parts = [
        f"{config.name} {config.version} on {examination.data_name}, {scores.n:,} rows",
        table(figures),
        table([["label", "precision", "recall", "F1", "rows"], *labels]),
        _confusion(scores),
    ]
    return "\n\n".join(part for part in parts if part)


def comparison_cells(comparison: ExplanationComparison) -> list[list[str]]:
    """The head and a row for each way of explaining."""
    names = [m for m in COLUMNS if any(m in row.measures for row in comparison.rows)]
    rows = [
        [
            row.method,
            row.passes,
            f"{row.milliseconds:.2f}",
            *(f"{row.measures[name]:.3f}" if name in row.measures else "–" for name in names),
        ]
        for row in comparison.rows
    ]
    return [["method", "passes", "ms", *(COLUMNS[name] for name in names)], *rows]


def comparison_legend(comparison: ExplanationComparison) -> list[str]:
    """What the columns mean, a line each."""
    measures = comparison.rows[0].measures
    lines = ["passes: beside the one that answers, a text; ms: milliseconds a text, in batches"]
    lines += [line for measure, line in LEGEND.items() if measure in measures]
    if "base_rate" in measures:
        lines.append(f"{measures['base_rate']:.1%} of the words are marked")
    return lines


def comparison_title(comparison: ExplanationComparison) -> str:
    """On which texts."""
    which = " that people marked and that were classified rightly" if comparison.marked else ""
    return f"Ways of explaining, on {comparison.n:,} texts{which}"


def comparison_as_text(comparison: ExplanationComparison) -> str:
    """The comparison for a terminal."""
    parts = [
        comparison_title(comparison),
        table(comparison_cells(comparison)),
        "\n".join(comparison_legend(comparison)),
    ]
    return "\n\n".join(parts)


def comparison_as_markdown(comparison: ExplanationComparison) -> str:
    """The comparison for a model card or a README."""
    head, *rows = comparison_cells(comparison)
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    cells = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    legend = "; ".join(comparison_legend(comparison))
    return f"{comparison_title(comparison)}:\n\n{cells}\n\n{legend}.\n"


def _confusion(scores: ClassificationScores) -> str:
    names = [each.label for each in scores.labels]
    if len(names) <= MATRIX_LABELS:
        rows = [[name, *map(str, row)] for name, row in zip(names, scores.confusion, strict=True)]
        return "Rows by their label, columns by the label given\n\n" + table([["", *names], *rows])
    pairs = [[truth, given, str(count)] for truth, given, count in scores.confused_pairs()]
    if not pairs:
        return ""
    return "Most confused\n\n" + table([["label", "given", "rows"], *pairs], left=2)


def table(rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Align cells: the first `left` columns to the left, numbers to the right."""
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = []
        for place, (cell, width) in enumerate(zip(row, widths, strict=True)):
            space = " " * (width - cell_len(cell))
            cells.append(cell + space if place < left else space + cell)
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
