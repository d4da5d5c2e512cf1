"""The benchmark of the memory of `heed train` runs on few rows."""

import json
import sys

import pytest

from benchmarks.training import memory


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_benchmark_prints_peaks_of_a_small_training(capsys: pytest.CaptureFixture[str]) -> None:
    memory.main(["--rows", "300", "--words", "8", "--seconds", "0", "--width", "8", "--heads", "2"])
    result = json.loads(capsys.readouterr().out)
    assert (result["rows"], result["words"]) == (300, 8)
    # PyTorch alone takes 150 MB, and 300 rows hardly add to it.
    assert 100 < result["megabytes_before_updates"] <= result["megabytes_in_total"] < 1500
    assert 0 < result["seconds_before_updates"] < result["seconds_in_total"]


@pytest.mark.slow
def test_failed_training_is_reported() -> None:
    with pytest.raises(SystemExit, match="--width 8 is not a multiple of --heads 3"):
        memory.main(["--rows", "300", "--words", "8", "--width", "8", "--heads", "3"])
