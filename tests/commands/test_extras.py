"""A command that lacks a package names the extra that installs it."""

from pathlib import Path

import pytest

from tests.support.command import ROOT, heed_without

SENTIMENT = ROOT / "bundles" / "sentiment"


@pytest.mark.parametrize(
    ("module", "arguments", "extra"),
    [
        ("sklearn", ("evaluate", SENTIMENT, "DATA.csv"), "evaluate"),
        ("scipy", ("evaluate", SENTIMENT, "DATA.csv"), "evaluate"),
        ("matplotlib", ("evaluate", SENTIMENT, "DATA.csv", "--report", "OUT"), "evaluate"),
        ("torch", ("train", "DATA.csv", "--out", "OUT"), "train"),
        ("onnx", ("export", "CHECKPOINT", "--out", "OUT"), "train"),
        ("datasets", ("train", "hf:imdb", "--out", "OUT"), "train,hub"),
        ("transformers", ("train", "DATA.csv", "--out", "OUT", "--teacher", "E"), "train,encoder"),
        ("polars", ("evaluate", SENTIMENT, "DATA.parquet"), "evaluate"),
    ],
)
def test_a_missing_package_names_its_extra(
    tmp_path: Path, train_csv: Path, module: str, arguments: tuple[object, ...], extra: str
) -> None:
    (tmp_path / "data.parquet").write_bytes(b"PAR1")
    (tmp_path / "encoder").mkdir()
    (tmp_path / "encoder" / "config.json").write_text("{}")
    paths = {
        "DATA.csv": train_csv,
        "DATA.parquet": tmp_path / "data.parquet",
        "OUT": tmp_path / "out",
        "E": tmp_path / "encoder",
    }
    done = heed_without(module, *(paths.get(str(name), name) for name in arguments))
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("heed: ")
    assert f"{module} is not installed; run `" in last
    assert f"[{extra}]'`" in last
    assert not (tmp_path / "out").exists()
