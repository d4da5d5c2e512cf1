"""The metrics: all families in the Prometheus format, and their sum over workers."""

import re
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)
from prometheus_client.parser import text_string_to_metric_families

import heed
from heed.service.metrics.exposition import choose_format
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
    "heed_predictions": "counter",
    "heed_confidence": "histogram",
    "heed_connections": "gauge",
    "heed_build_info": "gauge",
    "process_resident_memory_bytes": "gauge",
    "process_virtual_memory_bytes": "gauge",
    "process_open_fds": "gauge",
    "process_max_fds": "gauge",
    "process_cpu_seconds": "counter",
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
    counted.post({"text": "a film", "min_confidence": 1.0})
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
    assert sample(requests, route="/classify", status="200", model="reviews") == 4
    assert sample(requests, route="/classify", status="422", model="") == 1
    assert sample(requests, route="/classify/batch", status="200", model="reviews") == 1
    assert sample(requests, route="/classify/batch", status="413", model="") == 1
    assert sample(requests, route="other", status="404", model="") == 1
    assert sample("heed_request_seconds_count", route="/classify") == 5
    assert sample("heed_refusals_total", kind="too_large") == 1
    for stage in ("queue", "tokenize", "inference"):
        assert sample("heed_stage_seconds_count", stage=stage) == 5
        assert 0 < sample("heed_stage_seconds_sum", stage=stage) < 60
    warm_up = 2
    runs = sample("heed_batch_tokens_count")
    assert sample("heed_batch_texts_sum") == 1 + 8 + 4 + 2
    assert warm_up + 5 <= runs <= warm_up + 6
    assert sample("heed_batch_padding_share_count") == runs
    assert sample("heed_queue_tokens") == 0
    assert sample("heed_ready_workers") == 1
    of_bundle = {"model": "reviews", "version": counted.get("/models/reviews").json()["version"]}
    assert sample("heed_predictions_total", label="", **of_bundle) == 1
    labels = families["heed_predictions"].samples
    assert sum(s.value for s in labels if s.labels["label"]) == 5
    assert sample("heed_confidence_count", **of_bundle) == 6
    assert 6 / 2 < sample("heed_confidence_sum", **of_bundle) < 6
    assert sample("heed_connections") >= 1
    (build,) = families["heed_build_info"].samples
    assert (build.value, build.labels["version"]) == (1, heed.__version__)
    assert 10e6 < sample("process_resident_memory_bytes") < 2e9
    assert 3 < sample("process_open_fds") < sample("process_max_fds")


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


def test_labels_after_the_first_200_count_as_other() -> None:
    metrics = Metrics()
    labels = [f"label {number}" for number in range(250)]
    metrics.record_predictions("many", "1", labels, [(label, 0.5) for label in [*labels, None]])
    families = {name: samples for name, _, _, samples in metrics.snapshot(waiting=0, ready=True)}
    counts = {labels["label"]: value for _, labels, value in families["heed_predictions"]}
    assert len(counts) == 202
    assert (counts["label 199"], counts["other"], counts[""]) == (1, 50, 1)


def test_a_confidence_is_in_the_bucket_of_its_upper_bound() -> None:
    metrics = Metrics()
    for confidence in (0.5, 0.5000001, 1.0):
        metrics.record_predictions("model", "1", ["a"], [("a", confidence)])
    families = {name: samples for name, _, _, samples in metrics.snapshot(waiting=0, ready=True)}
    buckets = {
        labels["le"]: value
        for name, labels, value in families["heed_confidence"]
        if name == "heed_confidence_bucket"
    }
    assert (buckets["0.4"], buckets["0.5"], buckets["0.6"]) == (0, 1, 2)
    assert (buckets["0.99"], buckets["1.0"], buckets["+Inf"]) == (2, 3, 3)


def test_build_info_of_several_workers_is_one() -> None:
    one = Metrics().snapshot(waiting=0, ready=True)
    total = {name: samples for name, _, _, samples in add_up([one, one])}
    assert [value for _, _, value in total["heed_build"]] == [1]
    assert "heed_build" not in {family[0] for family in without_gauges(one)}


PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
OPENMETRICS, TEXT_1, TEXT_0 = (
    "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores",
    "text/plain; version=1.0.0; charset=utf-8; escaping=underscores",
    "text/plain; version=0.0.4; charset=utf-8",
)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", TEXT_0),
        ("*/*", TEXT_0),
        ("text/html,application/xhtml+xml,*/*;q=0.8", TEXT_0),
        ("text/plain", TEXT_0),
        ("text/plain;version=0.0.4", TEXT_0),
        ("text/plain; version=1.0.0", TEXT_1),
        ("application/openmetrics-text", OPENMETRICS),
        ("application/openmetrics-text; version=9.0.0, text/plain;version=1.0.0;q=0.1", TEXT_1),
        ("application/openmetrics-text;version=1.0.0;q=0.1,text/plain;version=0.0.4;q=0.9", TEXT_0),
        ("application/openmetrics-text;q=0", TEXT_0),
        ("text/plain;version=x;q=nan, ;;,=", TEXT_0),
        (PROMETHEUS_3, OPENMETRICS),
    ],
)
def test_the_accepted_format_of_the_highest_quality_is_chosen(accept: str, expected: str) -> None:
    assert choose_format(accept) == expected


def test_each_format_is_served_as_its_content_type(server: Server) -> None:
    server.post({"text": "a film"})
    for accept, expected in (("", TEXT_0), ("text/plain;version=1.0.0", TEXT_1)):
        response = server.request("GET", "/metrics", headers={"Accept": accept})
        assert response.headers["Content-Type"] == expected
        assert {f.name for f in text_string_to_metric_families(response.text)} == {*FAMILIES}
    response = server.request("GET", "/metrics", headers={"Accept": PROMETHEUS_3})
    assert response.headers["Content-Type"] == OPENMETRICS
    parsed: Any = openmetrics_families(response.text)  # type: ignore[no-untyped-call]
    families = {family.name: family.type for family in parsed}
    assert families["heed_requests"] == "counter"
    assert families["heed_build"] == "info"
    assert response.text.endswith("# EOF\n")
