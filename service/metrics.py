"""Prometheus metrics, in a registry of their own for each app."""

import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from service.inference.batcher import Job
from service.inference.runner import Report
from service.samples import Samples

MILLISECONDS = (0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10000, 30000)
SECONDS = tuple(bound / 1000 for bound in MILLISECONDS)
TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
TOKENS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
SHARES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75)
REFUSALS = {
    401: "unauthorized",
    413: "too_large",
    429: "queue_full",
    503: "unavailable",
    504: "deadline",
}
HEALTH = ("/healthz", "/readyz")
"""A 503 of theirs is an answer, no refusal."""


class Metrics:
    """What one process counts."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry(auto_describe=True)
        self._requests = Counter(
            "heed_requests",
            "Requests answered.",
            ("route", "status", "model"),
            registry=registry,
        )
        self._latency = Histogram(
            "heed_request_seconds",
            "From arrival to answer.",
            ("route",),
            buckets=SECONDS,
            registry=registry,
        )
        self._refusals = Counter(
            "heed_refusals", "Requests refused, by kind.", ("kind",), registry=registry
        )
        stage = Histogram(
            "heed_stage_seconds",
            "Time of a request in a stage: queue, tokenize, inference.",
            ("stage",),
            buckets=SECONDS,
            registry=registry,
        )
        self._queue, self._tokenize, self._inference = map(
            stage.labels, ("queue", "tokenize", "inference")
        )
        self._texts = Histogram(
            "heed_batch_texts", "Texts of a run of the network.", buckets=TEXTS, registry=registry
        )
        self._tokens = Histogram(
            "heed_batch_tokens",
            "Tokens of a run of the network, without padding.",
            buckets=TOKENS,
            registry=registry,
        )
        self._padding = Histogram(
            "heed_batch_padding_share",
            "Share of a run's computed tokens that is padding.",
            buckets=SHARES,
            registry=registry,
        )
        self._waiting = Gauge("heed_queue_tokens", "Tokens waiting, estimated.", registry=registry)
        self._ready = Gauge("heed_ready_workers", "Processes that are ready.", registry=registry)

    def record_request(self, route: str, status: int, model: str, arrived: float) -> None:
        """Count an answer. `arrived` is a time of `time.perf_counter`."""
        self._requests.labels(route, status, model).inc()
        self._latency.labels(route).observe(time.perf_counter() - arrived)
        if status in REFUSALS and route not in HEALTH:
            self._refusals.labels(REFUSALS[status]).inc()

    def record_batch(self, report: Report) -> None:
        """Count the runs of the network that a batch took."""
        for run in report.runs:
            self._texts.observe(run.texts)
            self._tokens.observe(run.tokens)
            self._padding.observe(1 - run.tokens / run.computed)

    def record_stages(self, job: Job) -> None:
        """Count where a request's time went."""
        self._queue.observe(job.stages.queue)
        self._tokenize.observe(job.stages.tokenize)
        self._inference.observe(job.stages.inference)

    def samples(self, waiting: int, ready: bool) -> Samples:
        """All that was counted, and what is true now: tokens waiting, and whether we are ready."""
        self._waiting.set(waiting)
        self._ready.set(ready)
        return [
            (
                metric.name,
                metric.documentation,
                metric.type,
                [
                    (sample.name, sample.labels, sample.value)
                    for sample in metric.samples
                    if not sample.name.endswith("_created")
                ],
            )
            for metric in self._registry.collect()
        ]


def exposition(samples: Samples) -> bytes:
    """Write samples in the Prometheus text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Written(samples))
    return generate_latest(registry)


class _Written(Collector):
    def __init__(self, samples: Samples) -> None:
        self._samples = samples

    def collect(self) -> Iterator[Metric]:
        for name, documentation, kind, samples in self._samples:
            metric = Metric(name, documentation, kind)
            for sample, labels, value in samples:
                metric.add_sample(sample, labels, value)
            yield metric
