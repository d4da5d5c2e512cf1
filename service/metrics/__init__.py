"""The metrics of one process and of all workers."""

from heed.service.metrics.metrics import Metrics, Snapshot, add_up, to_prometheus, without_gauges

__all__ = [
    "Metrics",
    "Snapshot",
    "add_up",
    "to_prometheus",
    "without_gauges",
]
