"""Prometheus metrics, in a registry of their own for each app."""

import time
from collections.abc import Iterable, Iterator
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from service.inference.batcher import Job
from service.inference.engine import BatchReport

SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
TOKENS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
SHARES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75)
REFUSALS = {401: "unauthorized", 413: "too_large", 429: "queue_full", 503: "unavailable", 504: "deadline"}


class Metrics:
    """What the service counts. One object an app; see the README for the names."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        r = self.registry
        labels = ("route", "status", "model")
        self.requests = Counter("heed_requests", "Requests answered.", labels, registry=r)
        self.latency = Histogram(
            "heed_request_seconds", "From arrival to answer.", ("route",), buckets=SECONDS, registry=r
        )
        self.stage = Histogram(
            "heed_stage_seconds",
            "Time of a request in a stage: queue, tokenize, inference.",
            ("stage",),
            buckets=SECONDS,
            registry=r,
        )
        self.batch_texts = Histogram("heed_batch_texts", "Texts of a run.", buckets=SIZES, registry=r)
        self.batch_tokens = Histogram("heed_batch_tokens", "Tokens of a run.", buckets=TOKENS, registry=r)
        self.batch_padding = Histogram(
            "heed_batch_padding_share", "Share of a run's tokens that is padding.", buckets=SHARES, registry=r
        )
        self.queue = Gauge("heed_queue_tokens", "Tokens waiting.", registry=r)
        self.refusals = Counter("heed_refusals", "Requests refused, by kind.", ("kind",), registry=r)
        self.ready = Gauge("heed_ready_workers", "Processes that are ready.", registry=r)
        self._stages = {name: self.stage.labels(name) for name in ("queue", "tokenize", "inference")}

    def record_request(self, route: str, status: int, model: str, arrived: float) -> None:
        """Count an answer. `arrived` is a time of `time.perf_counter`."""
        self.requests.labels(route, status, model).inc()
        self.latency.labels(route).observe(time.perf_counter() - arrived)
        if kind := REFUSALS.get(status):
            self.refusals.labels(kind).inc()

    def record_batch(self, batch: BatchReport) -> None:
        """Count one run of the network; called from the inference thread."""
        self.batch_texts.observe(batch.texts)
        self.batch_tokens.observe(batch.tokens)
        self.batch_padding.observe(1 - batch.tokens / batch.computed)

    def record_stages(self, job: Job) -> None:
        """Count where a request's time went."""
        self._stages["queue"].observe(job.stages.queue)
        self._stages["tokenize"].observe(job.stages.tokenize)
        self._stages["inference"].observe(job.stages.inference)

    def dump(self) -> list[Any]:
        """All samples as plain values, to be sent to another process and merged there."""
        return [
            (
                metric.name,
                metric.documentation,
                metric.type,
                [(s.name, s.labels, s.value) for s in metric.samples if not s.name.endswith("_created")],
            )
            for metric in self.registry.collect()
        ]


def exposition(dumps: Iterable[list[Any]]) -> bytes:
    """Add up the samples of several workers and write them in the Prometheus text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Merged(dumps))
    return generate_latest(registry)


class _Merged(Collector):
    def __init__(self, dumps: Iterable[list[Any]]) -> None:
        self._dumps = list(dumps)

    def collect(self) -> Iterator[Metric]:
        metrics: dict[str, Metric] = {}
        totals: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
        for dump in self._dumps:
            for name, documentation, kind, samples in dump:
                metrics.setdefault(name, Metric(name, documentation, kind))
                sums = totals.setdefault(name, {})
                for sample, labels, value in samples:
                    key = (sample, tuple(labels.items()))
                    sums[key] = sums.get(key, 0.0) + value
        for name, metric in metrics.items():
            for (sample, labels), value in totals[name].items():
                metric.add_sample(sample, dict(labels), value)
            yield metric
