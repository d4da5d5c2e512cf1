"""The measurement of training's memory runs end to end on few rows."""

import json
import sys

import pytest

from benchmarks import memory


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_of_a_small_training(capsys: pytest.CaptureFixture[str]) -> None:
    memory.main(["--rows", "300", "--words", "8", "--seconds", "0", "--width", "8", "--heads", "2"])
    found = json.loads(capsys.readouterr().out)
    assert (found["rows"], found["words"]) == (300, 8)
    # PyTorch alone takes 150 MB; so few rows add next to nothing.
    assert 100 < found["megabytes_before_updates"] <= found["megabytes_in_all"] < 1500
    assert 0 < found["seconds_before_updates"] < found["seconds_in_all"]


def test_a_training_that_fails_is_told() -> None:
    with pytest.raises(SystemExit, match="--width 8 is not a multiple of --heads 3"):
        memory.main(["--rows", "300", "--words", "8", "--width", "8", "--heads", "3"])
