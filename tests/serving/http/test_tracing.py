"""Traces: spans by OTLP for each request, and what happens without a collector."""

import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from heed.service.http.otel_variables import check_variables, is_enabled
from heed.service.settings import SettingsError
from tests.support.command import ROOT, WITHOUT
from tests.support.server import Server, serve, wait_for

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
CLOSED_PORT = "http://127.0.0.1:9"


class Collector:
    """An OTLP collector that keeps the spans."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.resources: list[dict[str, str]] = []
        self.answering = threading.Event()
        self.answering.set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.answering.wait(60)
                for group in ExportTraceServiceRequest.FromString(body).resource_spans:
                    collector.resources.append(
                        {a.key: a.value.string_value for a in group.resource.attributes}
                    )
                    for scope in group.scope_spans:
                        collector.spans.extend(scope.spans)
                self.send_response(200)
                self.end_headers()

            def log_request(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def named(self, name: str) -> list[Span]:
        return [span for span in list(self.spans) if span.name == name]


@contextmanager
def running_collector() -> Generator[Collector]:
    collector = Collector()
    thread = threading.Thread(target=collector.server.serve_forever, args=[0.01])
    thread.start()
    try:
        yield collector
    finally:
        collector.answering.set()
        collector.server.shutdown()
        thread.join()
        collector.server.server_close()


def post(server: Server, body: object, **headers: str) -> None:
    sent = {"Content-Type": "application/json"} | headers
    server.post(body, headers=sent)


def test_a_request_is_a_span_with_a_span_for_each_stage(trained: Path) -> None:
    with (
        running_collector() as collector,
        serve(
            trained, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, OTEL_BSP_SCHEDULE_DELAY="50"
        ) as server,
    ):
        post(server, {"text": "a secret film"}, traceparent=TRACEPARENT, **{"X-Request-Id": "mine"})
        (span,) = wait_for(lambda: collector.named("POST /classify"), server)
        assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
        assert span.kind == Span.SPAN_KIND_SERVER
        values = {a.key: a.value for a in span.attributes}
        assert values["http.request.method"].string_value == "POST"
        assert values["http.route"].string_value == "/classify"
        assert values["http.response.status_code"].int_value == 200
        assert values["heed.model"].string_value == "reviews"
        assert values["heed.request_id"].string_value == "mine"
        assert values["heed.texts"].int_value == 1
        assert values["heed.tokens"].int_value >= 3
        wait_for(lambda: collector.named("inference"), server)
        previous = span.start_time_unix_nano
        for name in ("queue", "tokenize", "inference"):
            (stage,) = [s for s in collector.named(name) if s.trace_id == span.trace_id]
            assert stage.parent_span_id == span.span_id
            assert previous <= stage.start_time_unix_nano <= stage.end_time_unix_nano
            previous = stage.end_time_unix_nano
        assert previous <= span.end_time_unix_nano
        assert "secret" not in str(collector.spans)
        assert collector.resources[0]["service.name"] == "heed"
        assert server.stop() == 0


def test_other_routes_and_errors_are_spans_and_the_last_ones_are_sent(trained: Path) -> None:
    with (
        running_collector() as collector,
        serve(
            trained,
            OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=collector.url + "/v1/traces",
            OTEL_SERVICE_NAME="my-service",
            OTEL_BSP_SCHEDULE_DELAY="60000",
        ) as server,
    ):
        server.get("/models/missing")
        post(server, "{", traceparent="nonsense")
        assert server.stop() == 0
        names = [span.name for span in collector.spans]
        assert "GET /models/{name}" in names
        assert "GET /readyz" in names
        (rejected,) = collector.named("POST /classify")
        assert rejected.parent_span_id == b""
        assert rejected.status.code == Status.STATUS_CODE_UNSET
        assert collector.resources[0]["service.name"] == "my-service"


def test_an_unsampled_parent_gives_no_span(trained: Path) -> None:
    with (
        running_collector() as collector,
        serve(trained, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as server,
    ):
        post(server, {"text": "a film"}, traceparent=TRACEPARENT[:-1] + "0")
        assert server.stop() == 0
        assert collector.spans
        assert not collector.named("POST /classify")


@pytest.mark.parametrize("hangs", [False, True], ids=["refuses", "hangs"])
def test_a_collector_that_is_away_slows_nothing(trained: Path, hangs: bool) -> None:
    with running_collector() as collector:
        collector.answering.clear()
        with serve(
            trained,
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url if hangs else CLOSED_PORT,
            OTEL_EXPORTER_OTLP_TIMEOUT="60000" if hangs else "300",
            OTEL_BSP_SCHEDULE_DELAY="50",
            OTEL_BSP_MAX_QUEUE_SIZE="128",
        ) as server:
            slowest = 0.0
            for _ in range(200):  # more spans than the queue holds
                begin = time.monotonic()
                assert server.get("/healthz").status_code == 200
                slowest = max(slowest, time.monotonic() - begin)
            assert slowest < 1
            if not hangs:
                wait_for(lambda: "traces cannot be sent" in server.log, server)
            assert len(server.lines) < 10
            begin = time.monotonic()
            assert server.stop() == 0
            assert time.monotonic() - begin < 4
            assert server.log.count("traces cannot be sent") <= 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_TRACES_SAMPLER_ARG", "10%"),
        ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
        ("OTEL_TRACES_SAMPLER_ARG", "nan"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_TRACES_EXPORTER", "oltp"),
        ("OTEL_SDK_DISABLED", "yes"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://:4318"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://host:99999"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zip"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/no/such/file"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4096"),
        ("OTEL_BSP_SCHEDULE_DELAY", "-1"),
        ("OTEL_PROPAGATORS", "b3"),
        ("OTEL_RESOURCE_ATTRIBUTES", "team"),
    ],
)
def test_a_bad_value_is_rejected(name: str, value: str) -> None:
    variables = {"OTEL_TRACES_SAMPLER": "traceidratio", name: value}
    with pytest.raises(SettingsError, match=name) as raised:
        check_variables(variables)
    assert value in str(raised.value)


def test_the_value_of_a_header_is_not_shown() -> None:
    with pytest.raises(SettingsError) as raised:
        check_variables({"OTEL_EXPORTER_OTLP_HEADERS": "secret"})
    assert "secret" not in str(raised.value)


def test_usual_values_are_accepted() -> None:
    check_variables(
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "https://collector.example:4318/path",
            "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20a=b, tenant=1",
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
            "OTEL_TRACES_SAMPLER": "parentbased_traceidratio",
            "OTEL_TRACES_SAMPLER_ARG": "0.1",
            "OTEL_PROPAGATORS": "tracecontext,baggage",
            "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=test,team=a",
            "OTEL_EXPORTER_OTLP_TIMEOUT": "10000",
        }
    )


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, False),
        ({"OTEL_SERVICE_NAME": "mine"}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://a"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", "OTEL_SDK_DISABLED": "TRUE"}, False),
    ],
)
def test_traces_are_sent_only_where_a_collector_is_named(
    variables: dict[str, str], expected: bool
) -> None:
    assert is_enabled(variables) == expected


def test_a_bad_value_ends_the_command(trained: Path) -> None:
    server = Server(
        trained, OTEL_TRACES_SAMPLER="sometimes", OTEL_EXPORTER_OTLP_ENDPOINT=CLOSED_PORT
    )
    try:
        assert server.process.wait(60) == 2
    finally:
        server.kill()
    last = server.lines[-1]
    assert "OTEL_TRACES_SAMPLER: 'sometimes' cannot be used: it must be always_on or" in last
    assert "Traceback" not in server.log


def test_a_missing_package_names_its_extra() -> None:
    program = WITHOUT.format(module="opentelemetry.sdk").partition("from heed")[0] + (
        "from heed.service.http.tracing import Tracer\n"
        f"Tracer.from_environment({{'OTEL_EXPORTER_OTLP_ENDPOINT': {CLOSED_PORT!r}}})\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "opentelemetry.sdk is not installed; run `" in done.stderr
    assert "[otel]" in done.stderr
