"""How many processors this process may use: a container's limit counts, not the machine's cores."""

import logging
import os
from pathlib import Path

log = logging.getLogger("heed")


def warn_of_crowding(workers: int, threads: int) -> None:
    """Say so where more inference threads are asked for than can run at once."""
    has = processors()
    if workers * threads > max(has, 1):
        log.warning(
            "--workers %d with --threads %d each are more than the %g processors that may be used "
            "here; they will slow each other down",
            workers,
            threads,
            round(has, 2),
        )


def processors(root: Path = Path("/")) -> float:
    """The least of: processors of the machine, of the affinity mask, of the cgroup's quota.

    Args:
        root: where /proc and /sys are.
    """
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        cores = os.cpu_count() or 1
    return min([float(cores), *_quotas(root)])


def _quotas(root: Path) -> list[float]:
    """The limits of this process's cgroup and of those that hold it, in version 1 and 2."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    quotas = []
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0":
            top = root / "sys/fs/cgroup"
        elif "cpu" in controllers.split(","):
            top = root / "sys/fs/cgroup/cpu"
        else:
            continue
        group = top / path.strip("/")
        # In a container the path may be that outside of it, which is not there: then see the top.
        for folder in (group, *group.parents):
            quotas += _quota(folder)
            if folder == top:
                break
    return quotas


def _quota(folder: Path) -> list[float]:
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text(encoding="ascii")
            period = (folder / "cpu.cfs_period_us").read_text(encoding="ascii")
        share = float(quota) / float(period)  # "max" or -1: no limit
    except (OSError, ValueError, ZeroDivisionError):
        return []
    return [share] if share > 0 else []
