"""The benchmarks of speed, peers and training run on a small bundle; no time is asserted."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.load.texts import MIXED_LENGTHS, make_texts
from benchmarks.peers.__main__ import SERVERS
from benchmarks.peers.report import draw, median_rates, table
from benchmarks.speed.__main__ import GOALS
from heed.model.inference.bundle import Bundle
from tests.support.command import ROOT

CAN_MEASURE = (
    shutil.which("wrk") is not None
    and shutil.which("taskset") is not None
    and {0, 1} <= os.sched_getaffinity(0)
)


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_tokenizer_benchmark_prints_times_of_both_tokenizers(trained: Path, test_csv: Path) -> None:
    result = json.loads(run("benchmarks.speed.tokenizer", trained, test_csv, 1).stdout)
    assert result["texts"] == 80
    assert result["tokens"] > 1
    assert min(result["library"], result["first_pass"], result["second_pass"]) > 0


@pytest.mark.slow
@pytest.mark.skipif(not CAN_MEASURE, reason="needs wrk, taskset and two cores")
def test_speed_benchmark_prints_every_figure_with_a_goal(trained: Path) -> None:
    done = run("benchmarks.speed", trained, "--rounds", 1, "--seconds", 1)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["machine"]["provider"] == "CPUExecutionProvider"
    assert {name for name, *_ in GOALS} <= set(document["figures"])
    assert document["figures"]["rejected"] > 0
    assert document["figures"]["lost"] == 0
    assert all(what in done.stderr for _, what, *_ in GOALS)


@pytest.mark.parametrize("program", ["benchmarks.speed", "benchmarks.peers"])
def test_missing_tools_end_the_program_with_one_sentence(program: str, tmp_path: Path) -> None:
    done = run(program, PATH=str(tmp_path))
    assert done.returncode == 2
    assert done.stderr == "taskset and wrk cannot be found; install util-linux and wrk\n"


@pytest.mark.skipif(not CAN_MEASURE, reason="needs wrk, taskset and two cores")
def test_missing_peer_ends_the_program_with_one_sentence(trained: Path, tmp_path: Path) -> None:
    done = run("benchmarks.peers", trained, "--environments", tmp_path)
    assert done.returncode == 2
    assert done.stderr == f"plain FastAPI is not installed in {tmp_path}: make bench-peers\n"


def test_table_and_plot_of_peers_show_medians(tmp_path: Path) -> None:
    def rates(rate: float) -> dict[str, dict[str, float]]:
        one = {"a_second": rate, "p50": 0.01, "p99": 0.02, "errors": 0.0}
        return {"1": one, "16": one, "64": one}

    rounds = [{"Heed": rates(rate), "LitServe": rates(rate / 4)} for rate in (800, 1000, 5000)]
    medians = median_rates(rounds)
    assert "| Heed | 1,000 | 1,000 | 1,000 | 10 / 20 | – |" in table(medians)
    assert "| LitServe | 250 | 250 | 250 | 10 / 20 | 4.0 times |" in table(medians)
    draw(medians, tmp_path / "peers.svg")
    assert "<svg" in (tmp_path / "peers.svg").read_text(encoding="utf-8")


def test_every_peer_has_a_program_and_pinned_packages() -> None:
    for server in SERVERS[1:]:
        pins = ROOT / "benchmarks" / "peers" / "servers" / f"{server.environment}.txt"
        lines = pins.read_text(encoding="utf-8").splitlines()
        assert all("==" in line for line in lines)
        assert any(line.startswith("onnxruntime==") for line in lines)
        assert (pins.parent / f"{server.environment}_app.py").exists()


def test_texts_of_the_load_have_the_asked_lengths_and_never_change(trained: Path) -> None:
    bundle = Bundle.load(trained)
    texts = make_texts(bundle, 12, MIXED_LENGTHS)
    assert texts == make_texts(bundle, 12, MIXED_LENGTHS)
    for text, wanted in zip(texts, MIXED_LENGTHS * 2, strict=True):
        wanted = min(wanted, bundle.config.max_tokens)
        assert wanted * 0.5 <= len(bundle.tokenizer.ids(text)) <= wanted * 13 / 12 + 4
