"""The metrics: all families in the Prometheus format, and their sum over workers."""

import re
from collections.abc import Generator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from heed.service.metrics.metrics import Metrics, Snapshot, add_up, without_gauges
from tests.support.server import Server, serve

FAMILIES = {
    "heed_requests": "counter",
    "heed_request_seconds": "histogram",
    "heed_refusals": "counter",
    "heed_stage_seconds": "histogram",
    "heed_batch_texts": "histogram",
    "heed_batch_tokens": "histogram",
    "heed_batch_computed_tokens": "histogram",
    "heed_batch_padding_share": "histogram",
    "heed_queue_tokens": "gauge",
    "heed_ready_workers": "gauge",
    "heed_worker_restarts": "counter",
    "heed_reloads": "counter",
}


@pytest.fixture
def counted(trained: Path) -> Generator[Server]:
    """A server without other clients."""
    with serve(trained, "--max-texts", 3) as running:
        yield running


def test_every_metric_has_its_type_labels_and_count(counted: Server) -> None:
    for _ in range(3):
        counted.post({"text": "a film"})
    counted.post({"texts": ["a film", "two films"]}, "/classify/batch")
    counted.post({"texts": ["a"] * 4}, "/classify/batch")
    counted.post({"text": 1})
    counted.get("/made/up")
    response = counted.get("/metrics")
    assert response.headers["Content-Type"].startswith("text/plain; version=")
    families = {f.name: f for f in text_string_to_metric_families(response.text)}
    assert {name: family.type for name, family in families.items()} == FAMILIES
    assert all(family.documentation for family in families.values())

    def sample(name: str, **labels: str) -> float:
        family = families[re.sub("_(total|count|sum)$", "", name)]
        return sum(s.value for s in family.samples if s.name == name and s.labels == labels)

    requests = "heed_requests_total"
    assert sample(requests, route="/classify", status="200", model="reviews") == 3
    assert sample(requests, route="/classify", status="422", model="") == 1
    assert sample(requests, route="/classify/batch", status="200", model="reviews") == 1
    assert sample(requests, route="/classify/batch", status="413", model="") == 1
    assert sample(requests, route="other", status="404", model="") == 1
    assert sample("heed_request_seconds_count", route="/classify") == 4
    assert sample("heed_refusals_total", kind="too_large") == 1
    for stage in ("queue", "tokenize", "inference"):
        assert sample("heed_stage_seconds_count", stage=stage) == 4
        assert 0 < sample("heed_stage_seconds_sum", stage=stage) < 60
    warm_up = 2
    runs = sample("heed_batch_tokens_count")
    assert sample("heed_batch_texts_sum") == 1 + 8 + 3 + 2
    assert warm_up + 4 <= runs <= warm_up + 5
    assert sample("heed_batch_padding_share_count") == runs
    assert sample("heed_queue_tokens") == 0
    assert sample("heed_ready_workers") == 1


def test_samples_are_added_up_and_gauges_can_be_dropped() -> None:
    one: Snapshot = [
        ("requests", "Requests.", "counter", [("requests_total", {"route": "/a"}, 1.0)]),
        ("ready", "Ready.", "gauge", [("ready", {}, 1.0)]),
    ]
    two: Snapshot = [
        (
            "requests",
            "Requests.",
            "counter",
            [("requests_total", {"route": "/a"}, 2.0), ("requests_total", {"route": "/b"}, 5.0)],
        )
    ]
    assert add_up([one, two]) == [
        (
            "requests",
            "Requests.",
            "counter",
            [("requests_total", {"route": "/a"}, 3.0), ("requests_total", {"route": "/b"}, 5.0)],
        ),
        one[1],
    ]
    assert without_gauges(one) == one[:1]
    assert add_up([]) == []


def test_an_observation_is_in_its_bucket_and_has_no_created_series() -> None:
    metrics = Metrics()
    metrics.record_request("/classify", 429, "", 0.002)
    metrics.record_request("/readyz", 503, "", 0.002)
    families = {name: samples for name, _, _, samples in metrics.snapshot(waiting=7, ready=True)}
    buckets = {
        labels["le"]: value
        for name, labels, value in families["heed_request_seconds"]
        if name.endswith("_bucket") and labels["route"] == "/classify"
    }
    assert (buckets["0.001"], buckets["0.0025"], buckets["+Inf"]) == (0, 1, 1)
    assert [*families["heed_refusals"]] == [("heed_refusals_total", {"kind": "queue_full"}, 1)]
    assert [*families["heed_queue_tokens"]] == [("heed_queue_tokens", {}, 7)]
    assert not [name for samples in families.values() for name, *_ in samples if "created" in name]
