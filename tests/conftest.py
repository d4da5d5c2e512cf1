"""Fixtures of all tests. In CI, a test that cannot run fails instead of being skipped."""

import os
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.support.command import heed
from tests.support.server import Server, serve
from tests.support.texts import reviews, write_csv

TRAIN_OPTIONS = ("--width", 32, "--epochs", 8, "--terms", "made for the tests")
"""Options of the bundle `trained`."""

pytest_plugins = ["tests.support.chromium", "tests.support.sets"]

# Idle threads sleep. `heed train` sets it, too, but PyTorch reads it only when it is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

IN_CI = os.environ.get("CI") == "true"

SLOW = {
    "tests/commands/test_extras.py",
    "tests/distill/test_augment.py",
    "tests/distill/test_encoder.py",
    "tests/distill/test_teacher.py",
    "tests/evaluation/test_faithfulness.py",
    "tests/serving/http/test_clients.py",
    "tests/serving/http/test_connections.py",
    "tests/serving/http/test_discarded_body.py",
    "tests/serving/http/test_limits.py",
    "tests/serving/http/test_tracing.py",
    "tests/serving/inference/test_failing_text.py",
    "tests/serving/inference/test_scheduler.py",
    "tests/serving/process/test_reload.py",
    "tests/serving/process/test_acceptor.py",
    "tests/serving/process/test_processes.py",
    "tests/training/test_ngram_fitting.py",
    "tests/training/test_search.py",
}
"""Files whose tests train for more than a few seconds, or start several processes.

In other files, single tests have the marker.
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of slow files."""
    for item in items:
        if str(item.path.relative_to(item.config.rootpath)) in SLOW:
            item.add_marker(pytest.mark.slow)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    _fail_skip_in_ci(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_skip_in_ci(report)
    return report


def _fail_skip_in_ci(report: pytest.TestReport | pytest.CollectReport) -> None:
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {report.longrepr}"


@pytest.fixture(scope="session")
def train_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 300 labelled reviews with the columns `text,label`."""
    return write_csv(tmp_path_factory.mktemp("data") / "reviews.csv", reviews(300, seed=1))


@pytest.fixture(scope="session")
def test_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 80 other reviews."""
    return write_csv(tmp_path_factory.mktemp("data") / "test.csv", reviews(80, seed=2))


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint folder of `trained`; a test that uses it must use `trained` as well."""
    return tmp_path_factory.mktemp("checkpoint") / "reviews"


@pytest.fixture(scope="session")
def trained(
    tmp_path_factory: pytest.TempPathFactory, train_csv: Path, test_csv: Path, checkpoint: Path
) -> Path:
    """A small bundle that the command line trained once. Tests must not change it."""
    out = tmp_path_factory.mktemp("bundles") / "reviews"
    heed(
        "train", train_csv, "--out", out, "--test", test_csv,
        "--checkpoint", checkpoint, *TRAIN_OPTIONS,
    )  # fmt: skip
    return out


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny sentence encoder."""
    from tests.support import encoders  # loads transformers, which takes seconds

    return encoders.bert(tmp_path_factory.mktemp("encoders") / "bert")


@pytest.fixture(scope="session")
def server(trained: Path) -> Generator[Server]:
    """A running `heed serve` with the bundle `trained`."""
    with serve(trained) as running:
        yield running
