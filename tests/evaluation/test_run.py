"""`heed evaluate`: scores, and errors with their rows."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import ROOT, heed
from tests.support.texts import write_csv


def test_the_command_prints_the_scores(trained: Path, test_csv: Path) -> None:
    printed = heed("evaluate", trained, test_csv, "--json").stdout
    scores = json.loads(printed)
    assert printed.count("\n") == 1
    assert scores.keys() >= {"accuracy", "macro_f1", "ece", "n", "labels", "confusion"}
    assert scores["n"] == 80
    text = heed("evaluate", trained, test_csv).stdout
    assert f"accuracy      {scores['accuracy']:.4f}" in text
    assert "precision" in text


def test_an_unknown_label_is_an_error_with_its_row(trained: Path, tmp_path: Path) -> None:
    rows = [("A charming film", "positive"), ("A cold room", "lukewarm")]
    data = write_csv(tmp_path / "other.csv", rows)
    done = heed("evaluate", trained, data, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith(f"heed: {data}, row 3: unknown label 'lukewarm'")
    assert done.stderr.count("\n") == 1


def test_a_text_without_a_token_is_an_error_with_its_row(trained: Path, tmp_path: Path) -> None:
    rows = [("A charming film", "positive"), ("\u200b\u200d", "negative")]
    data = write_csv(tmp_path / "other.csv", rows)
    done = heed("evaluate", trained, data, check=False)
    assert done.returncode == 2
    assert f"{data}, row 3: the text contains no token" in done.stderr


def test_a_checkpoint_needs_explanations(trained: Path, test_csv: Path) -> None:
    done = heed("evaluate", trained, test_csv, "--checkpoint", "nowhere", check=False)
    assert done.returncode == 2
    assert "--explanations" in done.stderr


@pytest.mark.slow
def test_evaluation_does_not_load_pytorch(trained: Path, test_csv: Path, tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from heed.__main__ import main\n"
        "try: main()\n"
        "finally: assert 'torch' not in sys.modules"
    )
    options = [trained, test_csv, "--json", "--explanations", "--limit", 3, "--report", tmp_path]
    done = subprocess.run(
        [sys.executable, "-c", program, "evaluate", *map(str, options)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["explanations"]["n"] == 3
