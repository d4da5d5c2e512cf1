"""The metrics of one process and of all workers."""

from heed.service.metrics.exposition import choose_format, encode_metrics
from heed.service.metrics.metrics import Family, Metrics, Snapshot, add_up, without_gauges

__all__ = [
    "Family",
    "Metrics",
    "Snapshot",
    "add_up",
    "choose_format",
    "encode_metrics",
    "without_gauges",
]
