"""Render scores and comparisons as text, for the terminal and for Markdown."""

import io
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from heed.model.evaluation import NORMALISED_TEXTS, Evaluation, ExplanationComparison
from heed.model.metrics import ClassificationScores
from heed.model.report.render import printable

MAX_MATRIX_LABELS = 12
"""Above this many labels, the most confused pairs replace the confusion matrix."""
TABLE_WIDTH = 10_000
"""A table is never wrapped at the width of the terminal, so that output can be piped."""

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
    "precision_at_k": "P@k",
    "rationale_polarity_agreement": "polarity",
    "rationale_correlation": "tau r.",
}
"""Measures of a comparison, with their column heads."""

LEGEND = {
    "comprehensiveness": "compr.: comprehensiveness, the fall of the probability when the top "
    "tokens are deleted; higher is better",
    "sufficiency": "suffic.: sufficiency, its fall when only the top tokens are kept; lower is "
    "better; both are means over the top 5, 10, 20 and 50 %",
    "normalised_comprehensiveness": "norm. c., norm. s.: the same over every share, scaled so that "
    f"the worst order is 0 and the best 1, on {NORMALISED_TEXTS} short texts",
    "rank_correlation": "tau: Kendall's rank correlation with leave one out; sign: agreement of "
    "the signs with leave one out",
    "average_precision": "MAP: mean average precision of ranking the rationale words first; P@k: "
    "precision of the top k words, k being the number of rationale words",
    "rationale_polarity_agreement": "polarity: agreement with the polarity that people gave a word",
    "rationale_correlation": "tau r.: Kendall's rank correlation with graded rationales",
}

COST_LEGEND = (
    "passes: runs of the network for one text, in addition to the run that gives the answer; ms: "
    "milliseconds for one text, in batches"
)


def scores_as_text(evaluation: Evaluation) -> str:
    """Render the metrics, a table of the labels and the confusion matrix."""
    scores = evaluation.scores
    config = evaluation.classifier.config
    metrics = [
        ["accuracy", f"{scores.accuracy:.4f}"],
        ["macro-F1", f"{scores.macro_f1:.4f}"],
        ["ECE, 15 bins", f"{scores.ece:.4f}"],
        ["log loss", f"{scores.log_loss:.4f}"],
        ["Brier score", f"{scores.brier:.4f}"],
    ]
    if scores.min_confidence is not None:
        covered = "–" if scores.covered_accuracy is None else f"{scores.covered_accuracy:.4f}"
        metrics += [
            [
                f"coverage, probability at least {scores.min_confidence:.3g}",
                f"{scores.coverage:.4f}",
            ],
            ["accuracy of the covered rows", covered],
        ]
    labels = [
        [s.label, f"{s.precision:.4f}", f"{s.recall:.4f}", f"{s.f1:.4f}", f"{s.support:,}"]
        for s in scores.labels
    ]
    parts = [
        f"{config.name} {config.version} on {evaluation.data_name}, {scores.n:,} rows",
        render_table(metrics),
        render_table([["label", "precision", "recall", "F1", "rows"], *labels]),
        _confusion(scores),
    ]
    return "\n\n".join(part for part in parts if part)


def comparison_cells(comparison: ExplanationComparison) -> list[list[str]]:
    """Return the column heads, then one row for each method."""
    names = [name for name in COLUMNS if any(name in m.scores for m in comparison.methods)]
    rows = [
        [
            each.method,
            each.passes,
            f"{each.milliseconds:.2f}",
            *(f"{each.scores[name]:.3f}" if name in each.scores else "–" for name in names),
        ]
        for each in comparison.methods
    ]
    return [["method", "passes", "ms", *(COLUMNS[name] for name in names)], *rows]


def comparison_legend(comparison: ExplanationComparison) -> list[str]:
    """Return the explanation of the columns, line by line."""
    scores = comparison.methods[0].scores
    lines = [COST_LEGEND]
    lines += [line for name, line in LEGEND.items() if name in scores]
    if "base_rate" in scores:
        lines.append(f"{scores['base_rate']:.1%} of the words are rationale words")
    return lines


def comparison_title(comparison: ExplanationComparison) -> str:
    """Return the title, with the number of texts."""
    which = " with a rationale and a correct prediction" if comparison.with_rationales else ""
    return f"Explanation methods on {comparison.n:,} texts{which}"


def comparison_as_text(comparison: ExplanationComparison) -> str:
    """Render the comparison for a terminal."""
    parts = [
        comparison_title(comparison),
        render_table(comparison_cells(comparison)),
        "\n".join(comparison_legend(comparison)),
    ]
    return "\n\n".join(parts)


def comparison_as_markdown(comparison: ExplanationComparison) -> str:
    """Render the comparison for a model card or a README."""
    head, *rows = comparison_cells(comparison)
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    cells = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    legend = "; ".join(comparison_legend(comparison))
    return f"{comparison_title(comparison)}:\n\n{cells}\n\n{legend}.\n"


def _confusion(scores: ClassificationScores) -> str:
    names = [each.label for each in scores.labels]
    if len(names) <= MAX_MATRIX_LABELS:
        rows = [[name, *map(str, row)] for name, row in zip(names, scores.confusion, strict=True)]
        title = "Confusion matrix: rows are true labels, columns predicted labels"
        return f"{title}\n\n{render_table([['', *names], *rows])}"
    pairs = [[truth, predicted, str(count)] for truth, predicted, count in scores.confused_pairs()]
    if not pairs:
        return ""
    table = render_table([["label", "predicted", "rows"], *pairs], left=2)
    return f"Most frequent confusions\n\n{table}"


def render_table(rows: Sequence[Sequence[str]], left: int = 1) -> str:
    """Render rows as text; the first `left` columns are left-aligned, the others right-aligned."""
    table = Table.grid(padding=(0, 2))
    for column in range(len(rows[0])):
        table.add_column(justify="left" if column < left else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(printable(cell).replace("\n", "␊")) for cell in row))
    console = Console(width=TABLE_WIDTH, file=io.StringIO(), color_system=None)
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().splitlines())
