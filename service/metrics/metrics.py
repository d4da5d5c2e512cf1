"""The metrics of one process, and their sum over several processes."""

import functools
from collections import defaultdict
from collections.abc import Iterable, Sequence
from importlib.metadata import version as installed_version
from platform import python_version
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
)
from prometheus_client.samples import Sample

from heed.service.metrics.predictions import PredictionCounts

Family = tuple[str, str, str, list[tuple[str, dict[str, str], float]]]
"""Name, help text and type of a metric, and its samples: name, labels, value."""
Snapshot = list[Family]

MILLISECONDS = (0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000)
SECONDS = tuple(bound / 1000 for bound in MILLISECONDS)
TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
TOKENS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
SHARES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75)
STAGES = ("queue", "tokenize", "inference")
REFUSALS = {
    401: "unauthorized",
    413: "too_large",
    429: "queue_full",
    503: "unavailable",
    504: "deadline",
}
PER_PROCESS = ("process_start_time_seconds",)
"""Their sum over workers would be no meaningful number."""
HEALTH_ROUTES = ("/healthz", "/readyz")
"""Their 503 is a regular response, not a refused request."""


class Metrics:
    """Counts in memory. Call all methods on the event loop."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        counter = functools.partial(Counter, namespace="heed", registry=self._registry)
        gauge = functools.partial(Gauge, namespace="heed", registry=self._registry)
        histogram = functools.partial(Histogram, namespace="heed", registry=self._registry)
        self._requests = counter("requests", "Requests answered.", ["route", "status", "model"])
        self._latency = histogram(
            "request_seconds", "From arrival to answer.", ["route"], buckets=SECONDS
        )
        self._refusals = counter("refusals", "Requests refused, by kind.", ["kind"])
        stages = histogram(
            "stage_seconds", "Time of a request in a stage.", ["stage"], buckets=SECONDS
        )
        self._stages = [stages.labels(stage) for stage in STAGES]
        self._texts = histogram("batch_texts", "Texts in a run of the network.", buckets=TEXTS)
        self._tokens = histogram("batch_tokens", "Tokens in a run, no padding.", buckets=TOKENS)
        self._computed = histogram(
            "batch_computed_tokens", "Tokens in a run, with padding.", buckets=TOKENS
        )
        self._padding = histogram(
            "batch_padding_share", "Share of padding in the tokens of a run.", buckets=SHARES
        )
        self._waiting = gauge("queue_tokens", "Tokens waiting, estimated.")
        self._ready = gauge("ready_workers", "Processes that are ready.")
        self._connections = gauge("connections", "Open connections.")
        Info("build", "Versions.", namespace="heed", registry=self._registry).info(
            {"version": installed_version("heed-classifier"), "python": python_version()}
        )
        ProcessCollector(registry=self._registry)
        self._predictions: dict[tuple[str, str], PredictionCounts] = {}
        # `labels` takes a lock and builds a key, so the hot path keeps what it returns.
        self._request_series = functools.cache(self._make_request_series)

    def record_request(self, route: str, status: int, model: str, seconds: float) -> None:
        """Count a response and the seconds from the request's arrival to it."""
        requests, latency, refusals = self._request_series(route, status, model)
        requests.inc()
        latency.observe(seconds)
        if refusals is not None:
            refusals.inc()

    def record_run(self, texts: int, tokens: int, computed: int) -> None:
        """Count a run of the network; `computed` is its tokens with padding."""
        self._texts.observe(texts)
        self._tokens.observe(tokens)
        self._computed.observe(computed)
        self._padding.observe(1 - tokens / computed)

    def record_stages(self, queue: float, tokenize: float, inference: float) -> None:
        """Count the seconds that a request spent in each of `STAGES`."""
        self._stages[0].observe(queue)
        self._stages[1].observe(tokenize)
        self._stages[2].observe(inference)

    def record_predictions(
        self,
        model: str,
        version: str,
        labels: Sequence[str],
        predictions: Iterable[tuple[str | None, float]],
    ) -> None:
        """Count the results of a response.

        Args:
            model: name of the bundle.
            version: of the bundle.
            labels: of the bundle.
            predictions: the label of each result (None: withheld), and the probability of the most
                probable label.
        """
        counts = self._predictions.get((model, version))
        if counts is None:
            counts = self._predictions[model, version] = PredictionCounts(labels)
        counts.record(predictions)

    def snapshot(self, waiting: int, ready: bool, connections: int = 0) -> Snapshot:
        """Return all metrics as plain values.

        Args:
            waiting: tokens in the queue.
            ready: whether this process is ready.
            connections: that are open.
        """
        self._waiting.set(waiting)
        self._ready.set(ready)
        self._connections.set(connections)
        return [
            (m.name, m.documentation, m.type, [s[:3] for s in m.samples if not _is_created(s)])
            for m in self._registry.collect()
            if m.name not in PER_PROCESS
        ] + self._prediction_families()

    def _prediction_families(self) -> Snapshot:
        labelled = [
            ({"model": name, "version": bundle_version}, counts)
            for (name, bundle_version), counts in self._predictions.items()
        ]
        label_samples = [s for labels, counts in labelled for s in counts.label_samples(labels)]
        confidences = [s for labels, counts in labelled for s in counts.confidence_samples(labels)]
        return [
            ("heed_predictions", "Texts by predicted label.", "counter", label_samples),
            (
                "heed_confidence",
                "Probability of the most probable label.",
                "histogram",
                confidences,
            ),
        ]

    def _make_request_series(
        self, route: str, status: int, model: str
    ) -> tuple[Counter, Histogram, Counter | None]:
        kind = None if route in HEALTH_ROUTES else REFUSALS.get(status)
        return (
            self._requests.labels(route, str(status), model),
            self._latency.labels(route),
            None if kind is None else self._refusals.labels(kind),
        )


def _is_created(sample: Sample) -> bool:
    """True for the series with the time of creation, which prometheus_client adds."""
    return sample.name.endswith("_created")


def add_up(snapshots: Iterable[Snapshot]) -> Snapshot:
    """Return the sum of several processes' metrics, sample by sample; an info stays 1."""
    sums: dict[tuple[str, str, str], dict[Any, float]] = {}
    for name, text, kind, samples in (family for snapshot in snapshots for family in snapshot):
        totals = sums.setdefault((name, text, kind), defaultdict(float))
        for sample, labels, value in samples:
            key = sample, tuple(labels.items())
            totals[key] = value if kind == "info" else totals[key] + value
    return [
        (*head, [(sample, dict(labels), value) for (sample, labels), value in totals.items()])
        for head, totals in sums.items()
    ]


def without_gauges(snapshot: Snapshot) -> Snapshot:
    """Return the part that stays true after the process has ended: what it counted."""
    return [family for family in snapshot if family[2] not in ("gauge", "info")]
