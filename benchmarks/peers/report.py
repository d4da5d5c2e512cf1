"""The comparison with other servers as a Markdown table and as a plot."""

import statistics
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

CONNECTIONS = (1, 16, 64)
ServerRates = dict[str, dict[str, dict[str, float]]]
"""Results by server and number of connections: `a_second`, `p50`, `p99`, `errors`, see `wrk`."""


def median_rates(rounds: Sequence[ServerRates]) -> ServerRates:
    """Return the medians over the rounds."""
    medians: ServerRates = {}
    for title in dict.fromkeys(title for one in rounds for title in one):
        results = [one[title] for one in rounds if title in one]
        medians[title] = {
            count: {
                name: statistics.median(one[count][name] for one in results)
                for name in results[0][count]
            }
            for count in results[0]
        }
    return medians


def table(medians: ServerRates) -> str:
    """Return the requests a second as a Markdown table, with the ratio at 16 connections."""
    heed = medians.get("Heed", {}).get("16", {}).get("a_second")
    lines = [
        "| server | 1 connection | 16 | 64 | p50 / p99 ms at 16 | Heed to server, at 16 |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for title, result in medians.items():
        rates = " | ".join(f"{result[str(count)]['a_second']:,.0f}" for count in CONNECTIONS)
        delays = f"{result['16']['p50'] * 1e3:.0f} / {result['16']['p99'] * 1e3:.0f}"
        ratio = f"{heed / result['16']['a_second']:.1f} times" if heed else "–"
        lines.append(f"| {title} | {rates} | {delays} | {'–' if title == 'Heed' else ratio} |")
    return "\n".join(lines)


def draw(medians: ServerRates, path: Path) -> None:
    """Draw bars of the requests a second for each number of connections."""
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(medians)
    for position, (title, result) in enumerate(medians.items()):
        rates = [result[str(count)]["a_second"] for count in CONNECTIONS]
        offset = width * (position - (len(medians) - 1) / 2)
        centres = [group + offset for group in range(len(rates))]
        bars = axes.bar(centres, rates, width, label=title)
        axes.bar_label(bars, fmt="{:,.0f}", fontsize=7)
    axes.set_xticks(range(len(CONNECTIONS)), [f"{count} connections" for count in CONNECTIONS])
    axes.set_ylabel("requests a second, one core")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, ncols=len(medians), loc="upper center", bbox_to_anchor=(0.5, 1.15))
    figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
