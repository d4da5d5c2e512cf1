"""What is counted for Prometheus, by each app for itself."""

import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest, metrics_core
from prometheus_client.registry import Collector

from heed.service.inference.batcher import Job
from heed.service.inference.runner import Report
from heed.service.metrics.counters import Counter, Histogram
from heed.service.metrics.samples import Metric, Samples

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
    """What one process counts. All is called on the event loop."""

    def __init__(self) -> None:
        self._requests = Counter(
            "heed_requests", "Requests answered.", ("route", "status", "model")
        )
        self._latency = Histogram(
            "heed_request_seconds", "From arrival to answer.", SECONDS, "route"
        )
        self._refusals = Counter("heed_refusals", "Requests refused, by kind.", ("kind",))
        self._stages = Histogram(
            "heed_stage_seconds",
            "Time of a request in a stage: queue, tokenize, inference.",
            SECONDS,
            "stage",
            known=("queue", "tokenize", "inference"),
        )
        self._texts = Histogram("heed_batch_texts", "Texts of a run of the network.", TEXTS)
        self._tokens = Histogram(
            "heed_batch_tokens", "Tokens of a run of the network, without padding.", TOKENS
        )
        self._computed = Histogram("heed_batch_computed_tokens", "The same, with padding.", TOKENS)
        self._padding = Histogram(
            "heed_batch_padding_share",
            "Share of a run's computed tokens that is padding.",
            SHARES,
        )

    def record_request(self, route: str, status: int, model: str, arrived: float) -> None:
        """Count an answer. `arrived` is a time of `time.perf_counter`."""
        self._requests.add(route, str(status), model)
        self._latency.observe(time.perf_counter() - arrived, route)
        if status in REFUSALS and route not in HEALTH:
            self._refusals.add(REFUSALS[status])

    def record_batch(self, report: Report) -> None:
        """Count the runs of the network that a batch took."""
        for run in report.runs:
            self._texts.observe(run.texts)
            self._tokens.observe(run.tokens)
            self._computed.observe(run.computed)
            self._padding.observe(1 - run.tokens / run.computed)

    def record_stages(self, job: Job) -> None:
        """Count where a request's time went."""
        self._stages.observe(job.stages.queue, "queue")
        self._stages.observe(job.stages.tokenize, "tokenize")
        self._stages.observe(job.stages.inference, "inference")

    def samples(self, waiting: int, ready: bool) -> Samples:
        """All that was counted, and what is true now: tokens waiting, and whether we are ready."""
        counted = (
            self._requests,
            self._latency,
            self._refusals,
            self._stages,
            self._texts,
            self._tokens,
            self._computed,
            self._padding,
        )
        return [
            *(tally.metric() for tally in counted),
            _gauge("heed_queue_tokens", "Tokens waiting, estimated.", waiting),
            _gauge("heed_ready_workers", "Processes that are ready.", ready),
        ]


def _gauge(name: str, documentation: str, value: float) -> Metric:
    return name, documentation, "gauge", [(name, {}, float(value))]


def exposition(samples: Samples) -> bytes:
    """Write samples in the Prometheus text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Written(samples))
    return generate_latest(registry)


class _Written(Collector):
    def __init__(self, samples: Samples) -> None:
        self._samples = samples

    def collect(self) -> Iterator[metrics_core.Metric]:
        for name, documentation, kind, samples in self._samples:
            metric = metrics_core.Metric(name, documentation, kind)
            for sample, labels, value in samples:
                metric.add_sample(sample, labels, value)
            yield metric
