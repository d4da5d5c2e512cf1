"""The metrics of one process and of all workers."""

from heed.service.metrics.metrics import (
    Family,
    Metrics,
    Snapshot,
    add_up,
    to_prometheus,
    without_gauges,
)

__all__ = [
    "Family",
    "Metrics",
    "Snapshot",
    "add_up",
    "to_prometheus",
    "without_gauges",
]
