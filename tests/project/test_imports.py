"""The packages import each other as the table in docs/architecture.md says."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.support.command import ROOT

TABLE = ROOT / "docs" / "architecture.md"
TRAINING = {"torch", "onnx", "sklearn", "scipy", "matplotlib", "polars"}
SERVING = {"fastapi", "uvicorn", "onnxruntime", "tokenizers"}
OPEN_TO_SERVICE = {"heed.model", "heed.model.text", "heed.model.bundles", "heed.model.inference"}


@dataclass(frozen=True)
class Import:
    """A name of one module that another module imports."""

    importer: str
    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.importer} imports {self.name} of {self.module}"


@cache
def table() -> dict[str, set[str]]:
    """Each package of the table with the packages that it may import, in the table's order."""
    rows: dict[str, set[str]] = {}
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `heed.") and len(cells) == 3:
            rows[cells[0].strip("`")] = {
                name.strip(" `") for name in cells[1].split(",") if "`" in name
            }
    return rows


@cache
def sources() -> dict[str, Path]:
    """The file of each module below `heed.model` and `heed.service`."""
    files = [file for part in ("model", "service") for file in (ROOT / part).rglob("*.py")]
    return {module_name(file): file for file in sorted(files)}


def module_name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return "heed." + ".".join(parts).removesuffix(".__init__")


def package_of(module: str) -> str | None:
    """The most specific row of the table that holds a module."""
    rows = [row for row in table() if f"{module}.".startswith(f"{row}.")]
    return max(rows, key=len, default=None)


@cache
def imports() -> list[Import]:
    """Every import of one module of Heed by another, wherever in the file it stands."""
    return [found for module, file in sources().items() for found in imports_in(module, file)]


def imports_in(module: str, file: Path) -> Iterator[Import]:
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module, alias.name, "")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: a relative import"
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                if whole in sources():
                    yield Import(module, whole, "")
                else:
                    yield Import(module, str(node.module), alias.name)


def between_packages() -> list[tuple[Import, str, str]]:
    """The imports across packages, with the importing and the imported package."""
    found = []
    for item in imports():
        if item.module.split(".")[0] != "heed":
            continue
        importer, imported = package_of(item.importer), package_of(item.module)
        if importer is not None and imported is not None and importer != imported:
            found.append((item, importer, imported))
    return found


def loaded_by(program: str) -> set[str]:
    """The top-level modules that a fresh interpreter has loaded after `program`."""
    program += "\nimport json, sys; print(json.dumps(list(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return {name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


def test_the_table_has_a_row_for_every_module() -> None:
    without = [
        module
        for module, file in sources().items()
        if package_of(module) is None and file.read_text("utf-8").count("import ")
    ]
    assert without == []


def test_the_table_points_to_earlier_rows_only() -> None:
    rows = list(table())
    assert len(rows) > 10, f"{TABLE} has no table of packages"
    for position, (package, allowed) in enumerate(table().items()):
        assert allowed <= set(rows[:position]), f"{package} may import a later row"


def test_the_service_may_import_only_what_needs_no_training() -> None:
    for package, allowed in table().items():
        of_model = {name for name in allowed if name.startswith("heed.model")}
        if package.startswith("heed.service"):
            assert of_model <= OPEN_TO_SERVICE, package
        else:
            assert of_model == allowed, package


def test_every_import_is_in_the_table() -> None:
    forbidden = [
        str(item)
        for item, importer, imported in between_packages()
        if imported not in table()[importer]
    ]
    assert forbidden == []


def test_packages_import_only_public_names_of_each_other() -> None:
    """A package lists names, or the modules whose names are public."""
    private = []
    for item, _, imported in between_packages():
        module = item.module.rpartition(".")[2]
        name = item.name or module
        public = public_names(imported) or {name}
        if name.startswith("_") or not {name, module} & public:
            private.append(str(item))
    assert private == []


@cache
def public_names(package: str) -> set[str]:
    """The names in the `__all__` of a package; empty if it has none."""
    file = sources().get(package)
    for node in ast.parse(file.read_text("utf-8")).body if file else ():
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            names: list[str] = ast.literal_eval(node.value)
            return set(names)
    return set()


def test_serving_loads_nothing_of_training() -> None:
    modules = [module for module in sources() if module.startswith("heed.service")]
    loaded = loaded_by("import " + ", ".join(modules))
    assert loaded >= SERVING
    assert not TRAINING & loaded


def test_the_python_interface_loads_what_it_needs_when_it_loads_a_bundle() -> None:
    assert not (TRAINING | SERVING | {"numpy", "pydantic"}) & loaded_by("import heed")
    load = f"import heed; heed.load({str(ROOT / 'bundles' / 'sentiment')!r}).classify('fine')"
    assert not (TRAINING | {"fastapi", "uvicorn"}) & loaded_by(load)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["serve", "--help"], ["classify", "--help"]]
)
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


def test_the_supervisor_loads_neither_onnxruntime_nor_fastapi() -> None:
    assert not (TRAINING | SERVING) & loaded_by("import heed.service.process.supervisor")
