"""The comparison as a table in Markdown and as a plot of accuracy against cost."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from heed.model.report.plots import SERIES

if TYPE_CHECKING:
    from benchmarks.contest import Comparison

MARKERS = "osD^v*"
"""As many as `SERIES` has colours; from there on each colour comes with its next marker."""
MOST_ACROSS = 3
"""Plots side by side."""


def table(comparisons: Sequence["Comparison"]) -> str:
    """A row for each method of each set, the most accurate in bold; below, what was left out."""
    lines = [
        "| set | method | accuracy | macro-F1 | ECE | ECE, fitted | µs a text | µs, batched | MB |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for each in comparisons:
        best = max((f.accuracy for f in each.figures), default=0.0)
        for f in each.figures:
            bold = "**" if f.accuracy == best else ""
            lines.append(
                f"| {each.name} | {f.method} | {bold}{f.accuracy:.2%}{bold} | {f.macro_f1:.4f} "
                f"| {f.ece:.4f} | {f.ece_fitted:.4f} | {f.microseconds:,.0f} "
                f"| {f.microseconds_together:,.0f} | {f.bytes / 1e6:.1f} |"
            )
    left_out = [f"- {each.name}: {why}" for each in comparisons for why in each.left_out]
    return "\n".join([*lines, *(["", "Left out:", "", *left_out] if left_out else [])])


def plot(comparisons: Sequence["Comparison"]) -> str:
    """An SVG with a plot for each set; the axis of the cost is logarithmic."""
    methods = list(dict.fromkeys(f.method for each in comparisons for f in each.figures))
    look = looks(methods)
    across = min(MOST_ACROSS, len(comparisons))
    down = -(-len(comparisons) // across)
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "heed", "font.size": 9}):
        figure = Figure((3.4 * across, 2.9 * down + 0.4), layout="constrained")
        grid = list(figure.subplots(down, across, squeeze=False).flat)
        for axes, each in zip(grid, comparisons, strict=False):
            _points(axes, each, look)
        for axes in grid[len(comparisons) :]:
            axes.set_visible(False)
        marks = [mpl.lines.Line2D([], [], label=method, **look[method]) for method in methods]
        figure.legend(handles=marks, loc="outside lower center", ncols=4, frameon=False)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def looks(methods: Sequence[str]) -> dict[str, dict[str, Any]]:
    """How the point of each method is drawn."""
    found: dict[str, dict[str, Any]] = {}
    for n, method in enumerate(methods):
        again, place = divmod(n, len(SERIES))
        marker = MARKERS[(place + again) % len(MARKERS)]
        found[method] = {"color": SERIES[place], "marker": marker, "linestyle": "", "markersize": 7}
    return found


def _points(axes: Axes, each: "Comparison", look: dict[str, dict[str, Any]]) -> None:
    for f in each.figures:
        axes.plot(f.microseconds, f.accuracy * 100, **look[f.method])
    axes.set(xscale="log", xlabel="µs a text, one core", ylabel="accuracy, %")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_title(each.name, fontsize=9, loc="left")
    axes.margins(0.2)
    axes.grid(visible=True, color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
