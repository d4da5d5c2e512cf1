"""The text formats of the metrics, and the choice between them by the header `Accept`."""

import re
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from heed.service.metrics.metrics import Snapshot

PLAIN = "text/plain; version=0.0.4; charset=utf-8"
"""The default; every scraper reads it."""
ENCODERS: dict[str, Callable[[Collector], bytes]] = {
    PLAIN: generate_latest,
    "text/plain; version=1.0.0; charset=utf-8; escaping=underscores": generate_latest,
    "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=underscores": (
        openmetrics.generate_latest
    ),
}
"""How to write each content type."""
FORMATS = {tuple(kind.split("; ")[:2]): kind for kind in ENCODERS} | {
    ("text/plain", ""): PLAIN,
    ("text/*", ""): PLAIN,
    ("*/*", ""): PLAIN,
    ("application/openmetrics-text", ""): list(ENCODERS)[2],
}
"""Content types by the media type and the version that a client accepts."""
_QUALITY = re.compile(r"q=([01](?:\.[0-9]{0,3})?)")


def choose_format(accept: str) -> str:
    """Return the content type to answer with: the accepted one of the highest quality.

    Text 0.0.4 if none is known; an answer in another format helps more than none.
    """
    best, best_quality = PLAIN, 0.0
    for entry in accept.lower().split(","):
        media_type, *parameters = (part.strip() for part in entry.split(";"))
        version = next((p for p in parameters if p.startswith("version=")), "").replace('"', "")
        found = FORMATS.get((media_type, version))
        matches = [match for p in parameters if (match := _QUALITY.fullmatch(p))]
        quality = float(matches[0][1]) if matches else 1.0
        if found is not None and quality > best_quality:
            best, best_quality = found, quality
    return best


def encode_metrics(snapshot: Snapshot, content_type: str) -> bytes:
    """Return a snapshot in the format that `choose_format` returned."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_SnapshotCollector(snapshot))
    return ENCODERS[content_type](registry)


class _SnapshotCollector(Collector):
    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[Metric]:
        for name, text, kind, samples in self._snapshot:
            metric = Metric(name, text, kind)
            for sample in samples:
                metric.add_sample(*sample)
            yield metric
