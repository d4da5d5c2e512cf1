"""Draw the plots of the report as SVG that inherits its colours and font from the page."""

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import matplotlib.colors
import matplotlib.image
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from heed.model.evaluation import DELETION_SHARES
from heed.model.metrics import CalibrationBin

Floats = NDArray[np.float64]

INK, GRID, MAIN, ERROR = "#000001", "#000002", "#000003", "#000004"
COLOURS = {INK: "ink", GRID: "line", MAIN: "main", ERROR: "error"}
"""Placeholder colours, replaced by CSS variables that depend on the theme of the page."""
SERIES = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"]
"""Colours that are distinct for the colour-blind, on light and dark (Okabe and Ito 2008)."""

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "heed",  # equal plots have equal bytes
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
}


@contextmanager
def _figure(svgs: list[str], width: float = 4.6, height: float = 3.2) -> Iterator[Figure]:
    """Yield a figure to draw on, then append its SVG to `svgs`."""
    with mpl.rc_context(STYLE):
        figure = Figure((width, height), layout="constrained")
        yield figure
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]  # HTML must not contain an XML declaration
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", svg)
    for placeholder, name in COLOURS.items():
        svg = svg.replace(placeholder, f"var(--{name})")
    svgs.append(svg)


def reliability_diagram(bins: Sequence[CalibrationBin]) -> str:
    """Plot accuracy against confidence for each bin, and the number of rows below."""
    svgs: list[str] = []
    with _figure(svgs, height=3.6) as figure:
        upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        middle = [(each.low + each.high) / 2 for each in bins]
        width = (bins[0].high - bins[0].low) * 0.9
        upper.plot([0, 1], [0, 1], color=INK, linewidth=0.8, dashes=(4, 3), label="perfect")
        upper.bar(middle, [b.accuracy or 0 for b in bins], width, color=MAIN, label="accuracy")
        filled = [b for b in bins if b.confidence is not None and b.accuracy is not None]
        upper.plot(
            [b.confidence for b in filled],
            [b.accuracy for b in filled],
            "o",
            color=INK,
            markersize=3,
            label="at the bin's mean confidence",
        )
        upper.set(xlim=(0, 1), ylim=(0, 1), ylabel="accuracy")
        upper.legend(loc="upper left")
        lower.bar(middle, [each.n for each in bins], width, color=MAIN)
        lower.set(xlabel="probability of the predicted label", ylabel="rows")
    return svgs[0]


def confidence_histogram(confidence: Floats, right: NDArray[np.bool_]) -> str:
    """Plot the histogram of the highest probabilities; right and wrong answers are stacked."""
    svgs: list[str] = []
    with _figure(svgs) as figure:
        axes = figure.subplots()
        axes.hist(
            [confidence[right], confidence[~right]],
            bins=list(np.linspace(0, 1, 31)),
            stacked=True,
            color=[MAIN, ERROR],
            label=["right", "wrong"],
        )
        axes.set(xlim=(0, 1), xlabel="probability of the predicted label", ylabel="rows")
        axes.legend(loc="upper left")
    return svgs[0]


def risk_coverage_curve(
    confidence: Floats, right: NDArray[np.bool_], min_confidence: float | None
) -> str:
    """Plot the share of errors against the share of texts with the highest probabilities."""
    order = np.argsort(-confidence, kind="stable")
    answered = np.arange(1, len(order) + 1)
    risk = np.cumsum(~right[order]) / answered
    shown = np.unique(np.linspace(0, len(order) - 1, 400).astype(int))
    svgs: list[str] = []
    with _figure(svgs) as figure:
        axes = figure.subplots()
        axes.plot(answered[shown] / len(order), risk[shown], color=MAIN)
        axes.set(xlim=(0, 1), xlabel="coverage", ylabel="share of errors")
        axes.set_ylim(bottom=0)
        if min_confidence is not None:
            coverage = float((confidence >= min_confidence).mean())
            axes.axvline(coverage, color=INK, linewidth=0.8, dashes=(4, 3))
            axes.annotate(
                f" {min_confidence:.2f}",
                (coverage, 1),
                xycoords=("data", "axes fraction"),
                va="top",
            )
    return svgs[0]


def deletion_curves(rows: Mapping[str, Mapping[str, float]]) -> str:
    """Plot comprehensiveness and sufficiency of each method against the share of tokens."""
    svgs: list[str] = []
    with _figure(svgs, width=9.4, height=3.6) as figure:
        axes: Sequence[Axes] = figure.subplots(1, 2)
        for plot, measure in zip(axes, ("comprehensiveness", "sufficiency"), strict=True):
            for index, (method, row) in enumerate(rows.items()):
                is_baseline = method == "random"
                plot.plot(
                    [share * 100 for share in DELETION_SHARES],
                    [row[f"{measure}_{share:.0%}"] for share in DELETION_SHARES],
                    ":" if is_baseline else "o-",
                    color=INK if is_baseline else SERIES[(index - 1) % len(SERIES)],
                    markersize=3.5,
                    label=method,
                )
            verb = "deleted" if measure == "comprehensiveness" else "kept"
            plot.set(xlabel=f"% of the tokens {verb}", ylabel="fall of the probability")
            plot.set_title(measure, fontsize=9, loc="left")
        axes[0].legend()
    return svgs[0]


def confusion_image(confusion: Sequence[Sequence[int]]) -> bytes:
    """Draw a PNG with one pixel for each pair of labels. Its opacity is the share of the row."""
    counts = np.array(confusion, dtype=np.float64)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    pixels = np.zeros((*share.shape, 4))
    right = np.eye(len(counts), dtype=bool)
    pixels[..., :3] = np.where(
        right[..., None], mpl.colors.to_rgb(SERIES[2]), mpl.colors.to_rgb(SERIES[5])
    )
    pixels[..., 3] = np.sqrt(share)
    buffer = io.BytesIO()
    mpl.image.imsave(buffer, pixels, format="png")
    return buffer.getvalue()
