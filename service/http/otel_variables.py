"""The standard `OTEL_*` variables: whether traces are wanted, and whether a value is valid."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from heed.service.settings import SettingsError

EXPORT_BATCH_SPANS = 64
"""Larger batches stop the event loop for several milliseconds while they are encoded."""
EXPORT_QUEUE_SPANS = 2048
"""The default of OTEL_BSP_MAX_QUEUE_SIZE."""
SAMPLERS = ("always_on", "always_off", "traceidratio")
PROPAGATORS = {"tracecontext", "baggage", "none"}


def check_variables(variables: Mapping[str, str]) -> None:
    """Check the `OTEL_*` variables that are set; raises `SettingsError`.

    The SDK itself replaces a bad value by a default: a sampling rate of `10%` becomes 1.
    """
    for name, value in sorted(variables.items()):
        key = name.replace("_OTLP_TRACES_", "_OTLP_")
        if key in CHECKS:
            is_valid, expected = CHECKS[key]
            if not is_valid(value):
                shown = "its value" if key in SECRET else repr(value)
                raise SettingsError(f"{name}: {shown} cannot be used: it must be {expected}")
    if variables.get("OTEL_TRACES_SAMPLER", "").lower().endswith("traceidratio"):
        ratio = variables.get("OTEL_TRACES_SAMPLER_ARG", "1")
        if not _is_number(ratio, 0, 1):
            raise SettingsError(
                f"OTEL_TRACES_SAMPLER_ARG: {ratio!r} cannot be used: it must be a number, 0 to 1"
            )
    batch, queue = batch_sizes(variables)
    if batch > queue:
        raise SettingsError(
            f"OTEL_BSP_MAX_EXPORT_BATCH_SIZE: {batch} is more than OTEL_BSP_MAX_QUEUE_SIZE, {queue}"
        )


def is_enabled(variables: Mapping[str, str]) -> bool:
    """True if the variables name a collector."""
    for name in ("OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER"):
        if name in variables:
            check_variables({name: variables[name]})
    if variables.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    named = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
    default = "otlp" if any(name in variables for name in named) else "none"
    return variables.get("OTEL_TRACES_EXPORTER", default) == "otlp"


def batch_sizes(variables: Mapping[str, str]) -> tuple[int, int]:
    """Return the spans of a batch and of the queue."""
    queue = int(variables.get("OTEL_BSP_MAX_QUEUE_SIZE", EXPORT_QUEUE_SPANS))
    default = min(EXPORT_BATCH_SPANS, queue)
    return int(variables.get("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", default)), queue


def propagators(variables: Mapping[str, str]) -> set[str]:
    """Return the names in OTEL_PROPAGATORS."""
    listed = variables.get("OTEL_PROPAGATORS", "tracecontext,baggage")
    return {name.strip().lower() for name in listed.split(",")}


def _is_number(value: str, low: float, high: float) -> bool:
    with suppress(ValueError):
        return low <= float(value) <= high
    return False


def _one_of(*values: str) -> tuple[Callable[[str], bool], str]:
    return lambda value: value.lower() in values, " or ".join(values)


def _is_url(value: str) -> bool:
    with suppress(ValueError):
        url = urlsplit(value)
        return url.scheme in ("http", "https") and bool(url.hostname) and (url.port or 1) > 0
    return False


def _is_key_value_list(value: str) -> bool:
    entries = [entry for entry in value.split(",") if entry.strip()]
    return all(entry.partition("=")[0].strip() and "=" in entry for entry in entries)


COUNT = (lambda value: value.isascii() and value.isdigit() and int(value) > 0, "a positive integer")
FILE = (lambda value: Path(value).is_file(), "a file")
KEY_VALUES = (_is_key_value_list, "a list key=value,key=value")
SECRET = ("OTEL_EXPORTER_OTLP_HEADERS",)
"""Variables whose value is not shown: it may hold a key."""
CHECKS: dict[str, tuple[Callable[[str], bool], str]] = {
    "OTEL_SDK_DISABLED": _one_of("true", "false"),
    "OTEL_TRACES_EXPORTER": _one_of("otlp", "none"),
    "OTEL_EXPORTER_OTLP_PROTOCOL": _one_of("http/protobuf"),
    "OTEL_EXPORTER_OTLP_ENDPOINT": (_is_url, "a URL, such as http://localhost:4318"),
    "OTEL_EXPORTER_OTLP_TIMEOUT": (
        lambda value: _is_number(value, 1, 600_000),
        "milliseconds, 1 to 600000",
    ),
    "OTEL_EXPORTER_OTLP_COMPRESSION": _one_of("none", "gzip", "deflate"),
    "OTEL_EXPORTER_OTLP_HEADERS": KEY_VALUES,
    "OTEL_EXPORTER_OTLP_CERTIFICATE": FILE,
    "OTEL_EXPORTER_OTLP_CLIENT_KEY": FILE,
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": FILE,
    "OTEL_TRACES_SAMPLER": _one_of(*SAMPLERS, *(f"parentbased_{name}" for name in SAMPLERS)),
    "OTEL_BSP_SCHEDULE_DELAY": COUNT,
    "OTEL_BSP_EXPORT_TIMEOUT": COUNT,
    "OTEL_BSP_MAX_QUEUE_SIZE": COUNT,
    "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": COUNT,
    "OTEL_PROPAGATORS": (
        lambda value: propagators({"OTEL_PROPAGATORS": value}) <= PROPAGATORS,
        "a list of tracecontext, baggage or none",
    ),
    "OTEL_RESOURCE_ATTRIBUTES": KEY_VALUES,
}
"""For each variable: whether a value can be used, and what a value must be."""
