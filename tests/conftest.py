"""What every test shares. In CI a test that cannot run is a failure, not a skip."""

import os
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.support.command import heed
from tests.support.server import Server, serve
from tests.support.texts import reviews, write_csv

SIZES = ("--width", 32, "--epochs", 20, "--terms", "made for the tests")
"""Options of the bundle `trained`."""

pytest_plugins = ["tests.support.chromium", "tests.support.sets"]

# As `heed train` sets it, before PyTorch is loaded: threads that wait take no time from others.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

SLOW = {
    "tests/commands/test_extras.py",
    "tests/distill/test_augment.py",
    "tests/distill/test_encoder.py",
    "tests/distill/test_static_vectors.py",
    "tests/distill/test_teacher.py",
    "tests/evaluation/test_faithfulness.py",
    "tests/project/test_benchmarks.py",
    "tests/project/test_quality.py",
    "tests/serving/test_acceptor.py",
    "tests/serving/test_connections.py",
    "tests/serving/test_poison.py",
    "tests/serving/test_process.py",
    "tests/serving/test_shedding.py",
    "tests/training/test_fit_ngrams.py",
    "tests/training/test_memory.py",
    "tests/training/test_resume.py",
    "tests/training/test_search.py",
    "tests/training/test_token_targets.py",
    "tests/training/test_trainer.py",
}
"""Files whose tests train for more than a few seconds, or start several processes."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if str(item.path.relative_to(item.config.rootpath)) in SLOW:
            item.add_marker(pytest.mark.slow)


IN_CI = os.environ.get("CI") == "true"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if item.get_closest_marker("gpu") is None:
        _refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _refuse_skip(report)
    return report


def _refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {report.longrepr}"


@pytest.fixture(scope="session")
def train_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 labelled reviews, `text,label`."""
    return write_csv(tmp_path_factory.mktemp("data") / "reviews.csv", reviews(300, seed=1))


@pytest.fixture(scope="session")
def test_csv(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """80 more."""
    return write_csv(tmp_path_factory.mktemp("data") / "test.csv", reviews(80, seed=2))


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint folder that `trained` was made with; ask for that one too."""
    return tmp_path_factory.mktemp("checkpoint") / "reviews"


@pytest.fixture(scope="session")
def trained(
    tmp_path_factory: pytest.TempPathFactory, train_csv: Path, test_csv: Path, checkpoint: Path
) -> Path:
    """A real bundle, small, trained once through the command line; read it, do not change it."""
    out = tmp_path_factory.mktemp("bundles") / "reviews"
    heed("train", train_csv, "--out", out, "--test", test_csv, "--checkpoint", checkpoint, *SIZES)
    return out


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny sentence encoder."""
    from tests.support import encoders  # it needs transformers, which takes seconds to load

    return encoders.bert(tmp_path_factory.mktemp("encoders") / "bert")


@pytest.fixture(scope="session")
def server(trained: Path) -> Generator[Server]:
    """A running `heed serve` with the bundle `trained`; `.url` is where."""
    with serve(trained) as running:
        yield running
