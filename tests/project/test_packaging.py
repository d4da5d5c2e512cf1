"""The wheel: built from the repository, installed next to a user's own packages and run there."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from email import message_from_string
from pathlib import Path

import httpx
import pytest

import heed
from tests.support.command import ROOT
from tests.support.server import Server, wait_for

pytestmark = pytest.mark.slow

SOURCES = ("heed", "model", "service", "pyproject.toml", "README.md", "LICENSE")
DATA = {
    "heed/py.typed",
    "heed/model/distill/english/vectors.safetensors",
    "heed/model/distill/english/tokenizer.json",
    "heed/model/export/card_template.md",
    "heed/model/report/shading.css",
    "heed/service/web/index.html",
    "heed/service/web/style.css",
}
"""Files that are not Python and that the package reads."""


def run(command: Sequence[object], folder: Path, **environment: str) -> str:
    done = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def copy_sources(folder: Path) -> Path:
    """Copy what a build reads, so that no build folder of the repository is reused."""
    folder.mkdir()
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, folder / name, symlinks=True, ignore=ignored)
        else:
            shutil.copy(source, folder)
    return folder


def build_wheel(sources: Path, out: Path) -> Path:
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    run([*pip, "--wheel-dir", out, sources], out.parent)
    [wheel] = out.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_sources(tmp_path_factory.mktemp("build") / "sources")


@pytest.fixture(scope="module")
def wheel(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(sources, tmp_path_factory.mktemp("wheel") / "dist")


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PYTHONPATH with the wheel and foreign packages `model` and `service`."""
    target = tmp_path_factory.mktemp("target")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    run([*pip, "--target", target, wheel], target)
    add_foreign_packages(target)
    return target


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder to work in, with packages `model` and `service` of its own."""
    add_foreign_packages(tmp_path)
    return tmp_path


def add_foreign_packages(folder: Path) -> None:
    for name in ("model", "service"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("raise RuntimeError('a foreign package')\n")


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def modules_in_repository() -> set[str]:
    folders = [ROOT / "model", ROOT / "service"]
    files = [file for folder in folders for file in folder.rglob("*.py")]
    return {f"heed/{file.relative_to(ROOT)}" for file in files}


def test_the_wheel_installs_one_top_level_name(wheel: Path) -> None:
    names = names_in(wheel)
    assert {name.partition("/")[0] for name in names} == {
        "heed",
        f"heed_classifier-{heed.__version__}.dist-info",
    }
    assert names >= DATA | modules_in_repository()
    web = {f"heed/service/web/{file.name}" for file in (ROOT / "service" / "web").iterdir()}
    assert names >= {name for name in web if not name.endswith("__pycache__")}


def test_the_metadata_names_platforms_and_extras(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        [path] = [name for name in archive.namelist() if name.endswith("/METADATA")]
        metadata = message_from_string(archive.read(path).decode())
    systems = [
        value.removeprefix("Operating System :: ")
        for value in metadata.get_all("Classifier", [])
        if value.startswith("Operating System")
    ]
    assert systems == ["MacOS", "POSIX :: Linux"]
    requirements = metadata.get_all("Requires-Dist", [])
    assert not [line for line in requirements if "win32" in line]
    assert {"files", "evaluate", "train", "encoder", "hub", "gpu"} <= set(
        metadata.get_all("Provides-Extra", [])
    )
    torch = [line for line in requirements if line.startswith("torch")]
    assert torch == ['torch==2.13.0; extra == "train"']


def test_the_source_distribution_builds_the_same_wheel(
    sources: Path, wheel: Path, tmp_path: Path
) -> None:
    program = "from setuptools.build_meta import build_sdist; build_sdist('sdist')"
    run([sys.executable, "-c", program], sources)
    [archive] = (sources / "sdist").glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, filter="data")
    [unpacked] = tmp_path.iterdir()
    assert names_in(build_wheel(unpacked, tmp_path / "dist")) == names_in(wheel)


def test_the_package_is_imported_next_to_packages_of_the_same_names(
    installed: Path, elsewhere: Path, trained: Path
) -> None:
    program = (
        f"import heed, heed.model, heed.service; c = heed.load({str(trained)!r}); "
        "print(heed.__version__, heed.__file__, *c.predict(['a wonderful film']))"
    )
    shown = run([sys.executable, "-c", program], elsewhere, PYTHONPATH=str(installed))
    assert shown.split() == [heed.__version__, str(installed / "heed/__init__.py"), "positive"]


def test_commands_run_next_to_packages_of_the_same_names(
    installed: Path, elsewhere: Path, trained: Path
) -> None:
    script = [sys.executable, installed / "bin" / "heed"]
    for command in ([sys.executable, "-m", "heed"], script):
        shown = run(
            [*command, "classify", trained, "a wonderful film", "--json"],
            elsewhere,
            PYTHONPATH=str(installed),
        )
        assert '"label": "positive"' in shown
        for name in ("serve", "train", "export", "evaluate", "classify"):
            shown = run([*command, name, "--help"], elsewhere, PYTHONPATH=str(installed))
            assert "Usage:" in shown


def test_the_server_runs_next_to_packages_of_the_same_names(
    installed: Path, elsewhere: Path, trained: Path
) -> None:
    server = Server(trained, "--workers", 2, folder=elsewhere, PYTHONPATH=str(installed))
    try:
        wait_for(lambda: server.get("/readyz").status_code == 200, server)
        assert server.post({"text": "a wonderful film"}).json()["label"] == "positive"
        assert httpx.get(server.url).text.startswith("<!doctype html>")
        assert server.stop() == 0
    finally:
        server.kill()


def test_an_installed_package_names_the_extra_to_install(installed: Path, elsewhere: Path) -> None:
    program = "from heed.model.errors import to_install; print(to_install('evaluate'))"
    shown = run([sys.executable, "-c", program], elsewhere, PYTHONPATH=str(installed))
    assert shown == f"`{sys.executable} -m pip install 'heed-classifier[evaluate]'`\n"


def test_a_checkout_names_the_extra_to_install(elsewhere: Path) -> None:
    program = "from heed.model.errors import to_install; print(to_install('train,hub'))"
    shown = run([sys.executable, "-c", program], elsewhere, PYTHONPATH=str(ROOT))
    assert shown.endswith(f" -c {ROOT}/constraints.txt -e '{ROOT}[train,hub]'`\n")
