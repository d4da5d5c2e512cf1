"""Traces of requests, sent by OTLP as the standard `OTEL_*` variables say. Needs the extra `otel`.

The spans are created by hand once a request is answered, from the times that its record has.
Automatic instrumentation would cost ten times as much and see nothing of the fast routes.
"""

import asyncio
import logging
import threading
import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version as installed_version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Self

from starlette.types import Scope

from heed.model.errors import HeedError, to_install
from heed.service.http.otel_variables import batch_sizes, check_variables, is_enabled, propagators
from heed.service.http.request_record import RequestRecord
from heed.service.settings import SettingsError

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider

log = logging.getLogger("heed")

STAGES = ("queue", "tokenize", "inference")
STOP_SECONDS = 2.0
"""Time to send the last spans; a collector that is down must not delay the end of the process."""


class Tracer:
    """Creates the spans of a request and sends them in the background."""

    def __init__(self, provider: "TracerProvider", take_over_parent: bool) -> None:
        """Args:
        provider: of the SDK, with an exporter.
        take_over_parent: whether the header `traceparent` makes a request part of a trace.
        """
        from opentelemetry.context import Context
        from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._tracer = provider.get_tracer("heed", installed_version("heed-classifier"))
        self._propagator = TraceContextTextMapPropagator() if take_over_parent else None
        self._empty = Context()
        self._server = SpanKind.SERVER
        self._error = Status(StatusCode.ERROR)
        self._within = set_span_in_context

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self | None:
        """Return a tracer; None unless a variable names a collector.

        Raises:
            SettingsError: a variable cannot be used.
            HeedError: the extra `otel` is not installed.
        """
        variables = {name: value.strip() for name, value in environment.items() if value.strip()}
        if not is_enabled(variables):
            return None
        check_variables(variables)
        for module in ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"):
            if not _is_installed(module):
                raise HeedError(
                    f"{module} is not installed; run {to_install('otel')}, "
                    "or set OTEL_SDK_DISABLED=true"
                )
        try:
            provider = _make_provider(variables)
        except ValueError as error:
            raise SettingsError(f"the OTEL_ variables cannot be used: {error}") from error
        return cls(provider, "tracecontext" in propagators(variables))

    def record(self, record: RequestRecord, scope: Scope, arrived: float, seconds: float) -> None:
        """Create the span of an answered request, and one for each stage.

        Args:
            record: the request.
            scope: its method and headers.
            arrived: by `time.perf_counter`.
            seconds: from its arrival to its answer.
        """
        end = time.time_ns()
        start = end - int(seconds * 1e9)
        attributes: dict[str, str | int] = {
            "http.request.method": scope["method"],
            "http.response.status_code": record.status,
            "http.route": record.route,
            "heed.request_id": record.request_id,
        }
        if record.model:
            attributes |= {"heed.model": record.model, "heed.version": record.version}
        for name, value in (("heed.texts", record.texts), ("heed.tokens", record.tokens)):
            if value is not None:
                attributes[name] = value
        span = self._tracer.start_span(
            f"{scope['method']} {record.route}",
            context=self._parent(scope),
            kind=self._server,
            attributes=attributes,
            start_time=start,
        )
        if not span.is_recording():
            return
        if record.stages is not None and record.queued is not None:
            context = self._within(span, self._empty)
            begin = start + int((record.queued - arrived) * 1e9)
            for name, stage_seconds in zip(STAGES, record.stages, strict=True):
                stage = self._tracer.start_span(name, context=context, start_time=begin)
                begin += int(stage_seconds * 1e9)
                stage.end(begin)
        if record.status >= 500:
            span.set_status(self._error)
        span.end(end)

    async def stop(self) -> None:
        """Send the last spans, for `STOP_SECONDS` at most."""
        # The SDK's own limits do not hold while the collector is away; the thread ends with us.
        thread = threading.Thread(target=self._provider.shutdown, daemon=True)
        thread.start()
        await asyncio.to_thread(thread.join, STOP_SECONDS)

    def _parent(self, scope: Scope) -> "Context":
        if self._propagator is None:
            return self._empty
        carrier = {
            name.decode(): value.decode("latin-1")
            for name, value in scope["headers"]
            if name in (b"traceparent", b"tracestate")
        }
        return self._propagator.extract(carrier, self._empty) if carrier else self._empty


def _make_provider(variables: Mapping[str, str]) -> "TracerProvider":
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class Exporter(SpanExporter):
        """Logs once if the collector is away, and once if it is back."""

        def __init__(self, exporter: SpanExporter) -> None:
            self._exporter = exporter
            self._failing = False

        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            result = self._exporter.export(spans)
            failing = result is not SpanExportResult.SUCCESS
            if failing and not self._failing:
                log.warning("traces cannot be sent to the collector; they are dropped")
            elif self._failing and not failing:
                log.info("traces are sent to the collector again")
            self._failing = failing
            return result

        def shutdown(self) -> None:
            self._exporter.shutdown()

    # Otherwise the SDK logs a line for each span that it drops.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    attributes = {
        "service.version": installed_version("heed-classifier"),
        "service.instance.id": str(uuid.uuid4()),
    }
    named = variables.get("OTEL_RESOURCE_ATTRIBUTES", "")
    if "OTEL_SERVICE_NAME" not in variables and "service.name=" not in named.replace(" ", ""):
        attributes["service.name"] = "heed"
    batch, queue = batch_sizes(variables)
    timeout = variables.get("OTEL_EXPORTER_OTLP_TIMEOUT", "10000")
    timeout = variables.get("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", timeout)
    # The standard counts this variable in milliseconds, and the exporter in seconds.
    exporter = OTLPSpanExporter(timeout=float(timeout) / 1000)
    provider = TracerProvider(resource=Resource.create(attributes), shutdown_on_exit=False)
    provider.add_span_processor(
        BatchSpanProcessor(Exporter(exporter), max_queue_size=queue, max_export_batch_size=batch)
    )
    return provider


def _is_installed(module: str) -> bool:
    with suppress(ModuleNotFoundError):  # a package above it is missing
        return find_spec(module) is not None
    return False
