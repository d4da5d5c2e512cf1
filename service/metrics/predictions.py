"""Counts of predicted labels and of their probabilities.

Plain numbers: prometheus_client's counters and histograms take a lock and several times as long,
which counts in a batch of a thousand texts.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence

CONFIDENCES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
MAX_LABELS = 200
OTHER_LABEL = "other"
"""Stands for all labels of a bundle after the first `MAX_LABELS`."""

Samples = list[tuple[str, dict[str, str], float]]


class PredictionCounts:
    """The predictions of one version of a bundle."""

    def __init__(self, labels: Sequence[str]) -> None:
        self.by_label: dict[str | None, int] = defaultdict(int)
        """Texts by label; None where the label was withheld."""
        self._extra_labels = set(labels[MAX_LABELS:])
        self._buckets = [0] * (len(CONFIDENCES) + 1)
        self._sum = 0.0

    def record(self, predictions: Iterable[tuple[str | None, float]]) -> None:
        """Count labels, each with the probability of the most probable label."""
        for label, confidence in predictions:
            self.by_label[OTHER_LABEL if label in self._extra_labels else label] += 1
            self._buckets[bisect_left(CONFIDENCES, confidence)] += 1
            self._sum += confidence

    def label_samples(self, labels: dict[str, str]) -> Samples:
        """Return the samples of the counter of labels."""
        return [
            ("heed_predictions_total", labels | {"label": label or ""}, float(count))
            for label, count in self.by_label.items()
        ]

    def confidence_samples(self, labels: dict[str, str]) -> Samples:
        """Return the samples of the histogram of probabilities."""
        samples: Samples = []
        count = 0
        for bound, inside in zip((*CONFIDENCES, "+Inf"), self._buckets, strict=True):
            count += inside
            samples.append(("heed_confidence_bucket", labels | {"le": str(bound)}, float(count)))
        samples.append(("heed_confidence_count", labels, float(count)))
        samples.append(("heed_confidence_sum", labels, self._sum))
        return samples
