"""A container's limit is read as the kernel tells it, in both versions of cgroups."""

import os
from pathlib import Path

import pytest

from heed.service.process.cpu_limit import processors
from tests.support.server import Server, serve

CORES = float(len(os.sched_getaffinity(0)))


def write(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content + "\n", encoding="ascii")
    return root


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({}, None),
        ({"proc/self/cgroup": "0::/"}, None),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "max 100000"}, None),
        ({"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "50000 100000"}, 0.5),
        # The path of the machine, seen from within the container.
        ({"proc/self/cgroup": "0::/a/b", "sys/fs/cgroup/cpu.max": "25000 100000"}, 0.25),
        (
            {
                "proc/self/cgroup": "0::/a/b",
                "sys/fs/cgroup/a/cpu.max": "10000 100000",
                "sys/fs/cgroup/a/b/cpu.max": "90000 100000",
            },
            0.1,
        ),
        (
            {
                "proc/self/cgroup": "5:memory:/x\n4:cpu,cpuacct:/x",
                "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "75000",
                "sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "100000",
            },
            0.75,
        ),
        (
            {
                "proc/self/cgroup": "4:cpu,cpuacct:/",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            None,
        ),
    ],
)
def test_the_least_limit_counts(tmp_path: Path, files: dict[str, str], limit: float | None) -> None:
    assert processors(write(tmp_path, files)) == (CORES if limit is None else limit)


def test_more_workers_than_processors_are_warned_of(trained: Path) -> None:
    workers = int(processors()) + 1

    def warned(*flags: object) -> bool:
        running: Server
        with serve(trained, *flags) as running:
            return "slow each other down" in running.log

    assert warned("--workers", workers)
    assert not warned()
