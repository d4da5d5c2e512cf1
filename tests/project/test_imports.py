"""Who imports whom: serving needs no PyTorch, and the model knows nothing of the service."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import ROOT

TRAINING = {"torch", "onnx", "sklearn", "scipy", "matplotlib", "polars"}
SERVING = {"fastapi", "uvicorn", "onnxruntime", "tokenizers"}


def loaded_by(program: str) -> set[str]:
    """The top-level modules that a fresh interpreter has after `program`."""
    program += "\nimport json, sys; print(json.dumps(list(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return {name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


def modules(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path) -> set[str]:
    """The modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found.add(str(node.module))
    return found


def test_serving_loads_nothing_of_training() -> None:
    names = [
        "heed." + ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for path in modules("service")
    ]
    loaded = loaded_by("import " + ", ".join(names))
    assert loaded >= SERVING
    assert not TRAINING & loaded


@pytest.mark.parametrize("arguments", [["--help"], ["serve", "--help"], ["--version"]])
def test_help_loads_next_to_nothing(arguments: list[str]) -> None:
    program = f"""
import sys
from heed.__main__ import main
sys.argv = ["heed", *{arguments}]
try:
    main()
except SystemExit as end:
    assert not end.code
"""
    assert not (TRAINING | SERVING) & loaded_by(program)


def test_the_supervisor_stays_small() -> None:
    assert not (TRAINING | SERVING) & loaded_by("import heed.service.process.supervisor")


@pytest.mark.parametrize("path", modules("model"), ids=lambda path: path.name)
def test_the_model_knows_nothing_of_the_service(path: Path) -> None:
    assert not {name for name in imports(path) if name.startswith("heed.service")}


@pytest.mark.parametrize("path", modules("service"), ids=lambda path: path.name)
def test_the_service_imports_only_what_needs_no_pytorch(path: Path) -> None:
    allowed = ("heed.model.errors", "heed.model.inference", "heed.model.text")
    used = {name for name in imports(path) if name.startswith("heed.model")}
    assert all(name.startswith(allowed) for name in used)
    assert not TRAINING & {name.partition(".")[0] for name in imports(path)}
