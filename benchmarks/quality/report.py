"""The comparison as a Markdown table and as plots of accuracy against time."""

import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from benchmarks.quality.results import SetResults
from heed.model.report.plots import SERIES

MARKERS = "osD^v*"
"""One for each colour of `SERIES`; a colour that is used again gets another marker."""
MAX_COLUMNS = 3
"""Plots in a row."""


def table(sets: Sequence[SetResults]) -> str:
    """Return a row for each classifier of each set, and below them what was left out.

    The highest accuracy of a set is bold.
    """
    columns = ["set", "classifier", "accuracy", "macro-F1", "ECE", "ECE, calibrated"]
    columns += ["µs a text", "µs, batched", "MB"]
    lines = [f"| {' | '.join(columns)} |", "|---|---|" + 7 * "---:|"]
    for each in sets:
        best = max((result.scores.accuracy for result in each.results), default=0.0)
        for result in each.results:
            scores, times = result.scores, result.times
            bold = "**" if scores.accuracy == best else ""
            lines.append(
                f"| {each.name} | {result.classifier} | {bold}{scores.accuracy:.2%}{bold} "
                f"| {scores.macro_f1:.4f} | {scores.ece:.4f} | {scores.ece_calibrated:.4f} "
                f"| {times.microseconds:,.0f} | {times.microseconds_batched:,.0f} "
                f"| {scores.bytes / 1e6:.1f} |"
            )
    left_out = [f"- {each.name}: {reason}" for each in sets for reason in each.left_out]
    return "\n".join([*lines, *(["", "Left out:", "", *left_out] if left_out else [])])


def plot(sets: Sequence[SetResults]) -> str:
    """Return an SVG with one plot for each set; the axis of time is logarithmic."""
    classifiers = list(dict.fromkeys(one.classifier for each in sets for one in each.results))
    styles = marker_styles(classifiers)
    columns = min(MAX_COLUMNS, len(sets))
    rows = -(-len(sets) // columns)
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "heed", "font.size": 9}):
        figure = Figure((3.4 * columns, 2.9 * rows + 0.4), layout="constrained")
        grid = list(figure.subplots(rows, columns, squeeze=False).flat)
        for axes, each in zip(grid, sets, strict=False):
            _draw_points(axes, each, styles)
        for axes in grid[len(sets) :]:
            axes.set_visible(False)
        handles = [mpl.lines.Line2D([], [], label=name, **styles[name]) for name in classifiers]
        figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def marker_styles(classifiers: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return a different colour and marker for each classifier."""
    styles: dict[str, dict[str, Any]] = {}
    for number, name in enumerate(classifiers):
        repeats, colour = divmod(number, len(SERIES))
        marker = MARKERS[(colour + repeats) % len(MARKERS)]
        styles[name] = {
            "color": SERIES[colour], "marker": marker, "linestyle": "", "markersize": 7
        }  # fmt: skip
    return styles


def _draw_points(axes: Axes, each: SetResults, styles: dict[str, dict[str, Any]]) -> None:
    for result in each.results:
        axes.plot(
            result.times.microseconds, result.scores.accuracy * 100, **styles[result.classifier]
        )
    axes.set(xscale="log", xlabel="µs a text, one core", ylabel="accuracy, %")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_title(each.name, fontsize=9, loc="left")
    axes.margins(0.2)
    axes.grid(visible=True, color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
