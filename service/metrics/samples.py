"""Samples of metrics as plain values, which travel between processes and add up."""

from typing import Any

Metric = tuple[str, str, str, list[tuple[str, dict[str, str], float]]]
"""Name, documentation, kind, and samples: name, labels, value."""
Samples = list[Metric]


def add_up(parts: list[Samples]) -> Samples:
    """Add the samples of several processes, one by one."""
    heads: dict[str, tuple[str, str, str]] = {}
    sums: dict[str, dict[Any, float]] = {}
    for part in parts:
        for name, documentation, kind, samples in part:
            heads.setdefault(name, (name, documentation, kind))
            totals = sums.setdefault(name, {})
            for sample, labels, value in samples:
                key = (sample, tuple(labels.items()))
                totals[key] = totals.get(key, 0.0) + value
    return [
        (*head, [(sample, dict(labels), value) for (sample, labels), value in sums[name].items()])
        for name, head in heads.items()
    ]


def without_gauges(samples: Samples) -> Samples:
    """What still holds of a process that has ended: what it counted."""
    return [metric for metric in samples if metric[2] != "gauge"]
