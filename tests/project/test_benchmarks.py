"""The programs for speed run end to end on a small bundle; no time is asserted."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.__main__ import GOALS
from benchmarks.compare import RIVALS, draw, summarise, table
from benchmarks.texts import LENGTHS, SENTENCES, texts_of
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


def test_how_long_a_text_takes_to_be_tokenized(trained: Path, test_csv: Path) -> None:
    found = json.loads(run("benchmarks.reading", trained, test_csv, 1).stdout)
    assert found["texts"] == 80
    assert found["tokens"] > 1
    assert min(found["library"], found["first"], found["again"]) > 0


def test_what_half_precision_changes(trained: Path, test_csv: Path) -> None:
    done = run("benchmarks.half", trained, test_csv)
    assert done.returncode == 0, done.stderr
    _, name, texts, differ, apart, off, _ = done.stdout.split("|")
    assert (name.strip(), texts.strip()) == (test_csv.parent.name, "80")
    assert int(differ) <= 2
    assert 0 < float(apart) < 0.05
    assert 0 <= float(off) < 0.01
    done = run("benchmarks.half", trained.parent, test_csv)
    assert (done.returncode, "name one of them" in done.stderr) == (2, True)


def test_the_service_beside_its_floors(trained: Path) -> None:
    done = run("benchmarks", trained, "--rounds", 1, "--seconds", 1)
    if not CAN_MEASURE:
        assert done.returncode == 2
        assert "cannot be found" in done.stderr or "two cores" in done.stderr
        return
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["machine"]["provider"] == "CPUExecutionProvider"
    assert {name for name, *_ in GOALS} <= set(told["found"])
    assert told["found"]["refused"] > 0
    assert told["found"]["lost"] == 0
    assert all(what in done.stderr for _, what, *_ in GOALS)


def test_the_engine_and_a_device_that_is_not_there(trained: Path) -> None:
    done = run("benchmarks.engine", trained, "--rounds", 1)
    assert set(json.loads(done.stdout)["texts_a_second"]) == {"1", "64", "512"}
    if not torch.cuda.is_available():
        done = run("benchmarks.engine", trained, "--device", "cuda")
        assert done.returncode == 2
        assert done.stderr.startswith("--device cuda: ")


@pytest.mark.parametrize("program", ["benchmarks", "benchmarks.compare"])
def test_what_is_missing_is_said_in_a_sentence(program: str, tmp_path: Path) -> None:
    done = run(program, PATH=str(tmp_path))
    assert done.returncode == 2
    assert done.stderr == ("taskset and wrk cannot be found; install util-linux and wrk\n")


def test_rivals_that_are_not_installed(trained: Path, tmp_path: Path) -> None:
    done = run("benchmarks.compare", trained, "--environments", tmp_path)
    assert done.returncode == 2
    if CAN_MEASURE:
        assert done.stderr == (f"plain FastAPI is not installed in {tmp_path}: make bench-peers\n")


def test_the_table_and_the_plot_of_rivals(tmp_path: Path) -> None:
    def load(rate: float) -> dict[str, dict[str, float]]:
        one = {"a_second": rate, "p50": 0.01, "p99": 0.02, "errors": 0.0}
        return {"1": one, "16": one, "64": one}

    rounds = [{"Heed": load(rate), "LitServe": load(rate / 4)} for rate in (800, 1000, 5000)]
    medians = summarise(rounds)
    assert "| Heed | 1,000 | 1,000 | 1,000 | 10 / 20 | – |" in table(medians)
    assert "| LitServe | 250 | 250 | 250 | 10 / 20 | 4.0 times |" in table(medians)
    draw(medians, tmp_path / "peers.svg")
    assert "<svg" in (tmp_path / "peers.svg").read_text(encoding="utf-8")


def test_every_rival_has_its_program_and_its_pins() -> None:
    for rival in RIVALS[1:]:
        pins = ROOT / "benchmarks" / "peers" / f"{rival.environment}.txt"
        lines = pins.read_text(encoding="utf-8").splitlines()
        assert all("==" in line for line in lines)
        assert any(line.startswith("onnxruntime==") for line in lines)
        assert (pins.parent / f"{rival.environment}_app.py").exists()


def test_texts_are_as_long_as_is_said_and_always_the_same(trained: Path) -> None:
    bundle = Bundle.load(trained)
    texts = texts_of(bundle, SENTENCES, 12, LENGTHS)
    assert texts == texts_of(bundle, SENTENCES, 12, LENGTHS)
    for text, wanted in zip(texts, LENGTHS * 2, strict=True):
        wanted = min(wanted, bundle.config.max_tokens)
        assert wanted * 0.5 <= len(bundle.tokenizer.ids(text)) <= wanted * 13 / 12 + 4
