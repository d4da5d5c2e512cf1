"""The number of processors that this process may use, container limits included."""

import logging
import os
from contextlib import suppress
from pathlib import Path

log = logging.getLogger("heed")


def warn_if_oversubscribed(workers: int, threads: int) -> None:
    """Log a warning if more inference threads are configured than can run at once."""
    available = available_processors()
    if workers * threads > max(available, 1):
        log.warning(
            "%d workers with %d threads each on %g processors will slow each other down; "
            "lower --workers or --threads",
            *(workers, threads, round(available, 2)),
        )


def available_processors(cpu_max: Path = Path("/sys/fs/cgroup/cpu.max")) -> float:
    """Return the lowest of the machine's processors, the affinity mask and the cgroup's quota.

    Args:
        cpu_max: the quota file of the root cgroup (version 2). In a container it is the
            container's own. It holds `QUOTA PERIOD`, or `max PERIOD` without a limit.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    limits = [float(cores or 1)]
    with suppress(OSError, ValueError):
        quota, period = cpu_max.read_text(encoding="ascii").split()
        limits.append(float(quota) / float(period))
    return min(limits)
