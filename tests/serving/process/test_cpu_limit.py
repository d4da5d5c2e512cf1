"""The number of processors that a process may use, with a container's limit."""

import os
from pathlib import Path

import pytest

from heed.service.process.cpu_limit import available_processors
from tests.support.server import Server, serve

CORES = float(len(os.sched_getaffinity(0)))


@pytest.mark.parametrize(
    ("content", "limit"),
    [
        (None, CORES),
        ("max 100000", CORES),
        ("50000 100000", 0.5),
        ("99900000 100000", CORES),
        ("damaged", CORES),
    ],
)
def test_the_lowest_limit_counts(tmp_path: Path, content: str | None, limit: float) -> None:
    path = tmp_path / "cpu.max"
    if content is not None:
        path.write_text(content + "\n", encoding="ascii")
    assert available_processors(path) == limit


@pytest.mark.slow
def test_more_workers_than_processors_log_a_warning(trained: Path) -> None:
    workers = int(available_processors()) + 1

    def warned(*flags: object) -> bool:
        running: Server
        with serve(trained, *flags) as running:
            return "slow each other down" in running.log

    assert warned("--workers", workers)
    assert not warned()
