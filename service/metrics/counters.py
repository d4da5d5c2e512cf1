"""Counters and histograms that cost a request a microsecond, told as samples.

prometheus-client's own take a lock for each and look through all buckets. These belong to one
thread, the event loop's.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

from prometheus_client.utils import floatToGoString

from heed.service.metrics.samples import Metric

Labels = tuple[str, ...]


class Counter:
    """Counts, one for every combination of labels that was met."""

    def __init__(self, name: str, documentation: str, labels: Labels) -> None:
        self._head = (name, documentation, "counter")
        self._labels = labels
        self._counts: dict[Labels, int] = {}

    def add(self, *labels: str) -> None:
        """Count one more."""
        self._counts[labels] = self._counts.get(labels, 0) + 1

    def metric(self) -> Metric:
        """All counts."""
        name = self._head[0] + "_total"
        samples = [
            (name, dict(zip(self._labels, labels, strict=True)), float(count))
            for labels, count in self._counts.items()
        ]
        return (*self._head, samples)


class Histogram:
    """How often a value fell under each bound, one histogram for every label that was met."""

    def __init__(
        self,
        name: str,
        documentation: str,
        bounds: Sequence[float],
        label: str | None = None,
        known: Sequence[str] = (),
    ) -> None:
        """Args:
        name: without suffix.
        documentation: one sentence.
        bounds: upper bounds, ascending; what is above the last is counted too.
        label: name of the label, if there is one.
        known: its values that are told before they are met.
        """
        self._head = (name, documentation, "histogram")
        self._bounds = bounds
        self._les = [*map(floatToGoString, bounds), "+Inf"]
        self._label = label
        self._series: dict[str, tuple[list[int], list[float]]] = {}
        for value in [""] if label is None else known:
            self._add_series(value)

    def observe(self, value: float, label: str = "") -> None:
        """Take in a value."""
        counts, total = self._series.get(label) or self._add_series(label)
        counts[bisect_left(self._bounds, value)] += 1
        total[0] += value

    def metric(self) -> Metric:
        """All of them."""
        name = self._head[0]
        samples = []
        for label, (counts, total) in self._series.items():
            labels = {} if self._label is None else {self._label: label}
            for le, count in zip(self._les, accumulate(counts), strict=True):
                samples.append((name + "_bucket", labels | {"le": le}, float(count)))
            samples.append((name + "_count", labels, float(sum(counts))))
            samples.append((name + "_sum", labels, total[0]))
        return (*self._head, samples)

    def _add_series(self, label: str) -> tuple[list[int], list[float]]:
        self._series[label] = ([0] * len(self._les), [0.0])
        return self._series[label]
