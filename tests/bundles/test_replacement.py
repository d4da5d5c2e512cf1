"""A bundle is replaced so that a whole bundle can be read at any moment."""

import errno
import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

import pytest

from heed.model.bundles.files import read_bundle_files
from heed.model.bundles.replacement import (
    METHODS,
    Method,
    copy_files,
    exchange,
    rename,
    rename_twice,
    replace_folder,
    saved_folder,
)
from heed.model.inference.bundle import Bundle, find_bundles
from tests.support.bundles import write_small_bundle
from tests.support.command import ROOT

WAYS: dict[str, Sequence[Method]] = {
    "exchange": METHODS,
    "rename_twice": (rename, rename_twice),
    "copy_files": (copy_files,),
}


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_linux_exchanges_folders(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("other systems rename twice")
    for name in "ab":
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    exchange(tmp_path / "a", tmp_path / "b")
    assert names(tmp_path / "a") == ["b"]
    with pytest.raises(FileNotFoundError):
        exchange(tmp_path / "a", tmp_path / "none")


@pytest.mark.parametrize("way", WAYS)
def test_each_way_replaces_the_whole_folder(tmp_path: Path, way: str) -> None:
    path = tmp_path / "small"
    write_small_bundle(path, version="1", methods=WAYS[way])
    (path / "more").mkdir()
    (path / "more" / "file").touch()
    write_small_bundle(path, version="2", methods=WAYS[way], force=True)
    assert Bundle.load(path).config.version == "2"
    assert names(path) == ["README.md", "config.json", "model.onnx", "tokenizer.json"]
    assert names(tmp_path) == ["small"]


@pytest.mark.parametrize("way", WAYS)
def test_a_link_stays_and_its_folder_is_replaced(tmp_path: Path, way: str) -> None:
    (tmp_path / "link").symlink_to("small")
    write_small_bundle(tmp_path / "link", version="1", methods=WAYS[way])
    write_small_bundle(tmp_path / "link", version="2", methods=WAYS[way], force=True)
    assert (tmp_path / "link").is_symlink()
    assert Bundle.load(tmp_path / "small").config.version == "2"


def test_the_next_method_is_used_where_one_does_not_work(tmp_path: Path) -> None:
    def refuse(new: Path, target: Path) -> None:
        raise OSError(errno.ENOTSUP, "not supported")

    path = tmp_path / "small"
    for version in ("1", "2"):
        write_small_bundle(
            path, version=version, methods=(rename, refuse, copy_files), force=version == "2"
        )
        assert Bundle.load(path).config.version == version
    new = write_small_bundle(tmp_path / "new", version="3")
    with pytest.raises(OSError, match="not supported"):
        replace_folder(new, path, (rename, refuse))
    assert Bundle.load(path).config.version == "2"


WRITER = """
import itertools, sys
from pathlib import Path
from tests.bundles.test_replacement import WAYS
from tests.support.bundles import write_small_bundle
path, way = Path(sys.argv[1]), sys.argv[2]
print("started", flush=True)
for number in itertools.count():
    write_small_bundle(path, version=str(number), methods=WAYS[way], force=True)
"""


def start_writer(path: Path, way: str) -> subprocess.Popen[bytes]:
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), way], cwd=ROOT, stdout=subprocess.PIPE
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"started\n"
    return writer


KILLED = """
import itertools, json, os, sys
from pathlib import Path
from heed.model.inference.bundle import Bundle, find_bundles
from tests.bundles.test_replacement import WAYS
from tests.support.bundles import write_small_bundle

folder, way = Path(sys.argv[1]), sys.argv[2]
EVENTS = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir"}

def write(path, points):
    def kill(event, arguments):
        nonlocal points
        if event in EVENTS and str(path.parent) in str(arguments[0]):
            points -= 1
            if points < 0:
                os.kill(os.getpid(), 9)

    sys.addaudithook(kill)
    write_small_bundle(path, version="2", methods=WAYS[way], force=True)
    os._exit(0)

found, status = [], 1
for points in itertools.count():
    path = write_small_bundle(folder / str(points) / "small", version="1")
    child = os.fork() or write(path, points)
    status = os.waitpid(child, 0)[1]
    found.append([status, Bundle.load(path).config.version, *find_bundles(path.parent)])
    write_small_bundle(path, version="3", force=True)
    found[-1].append(Bundle.load(path).config.version)
    if status == 0:
        print(json.dumps(found))
        break
"""


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_a_kill_before_any_change_of_a_file_leaves_a_whole_bundle(tmp_path: Path, way: str) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path), way]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    assert [status for status, *_ in found] == [signal.SIGKILL] * (len(found) - 1) + [0]
    assert all(rest == ["small", "3"] for _, _, *rest in found)
    versions = [version for _, version, *_ in found]
    assert versions == sorted(versions)
    assert set(versions) == {"1", "2"}
    assert len(versions) > 10
    assert not list(tmp_path.glob("*/.small.saved"))


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_a_kill_at_any_moment_leaves_a_whole_bundle(tmp_path: Path, way: str) -> None:
    random = Random(1)
    path = write_small_bundle(tmp_path / "small")
    for _ in range(6):
        with start_writer(path, way) as writer:
            time.sleep(random.uniform(0.02, 0.2))
            writer.send_signal(signal.SIGKILL)
        assert Bundle.load(path).config.name == "small"
        assert list(find_bundles(tmp_path)) == ["small"]
    write_small_bundle(path, version="last", force=True)
    assert Bundle.load(path).config.version == "last"
    assert not saved_folder(path).exists()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no atomic exchange")
def test_a_bundle_can_be_read_while_it_is_exchanged(tmp_path: Path) -> None:
    """Two renames or a copy leave a moment without a whole bundle; an exchange does not."""
    path = write_small_bundle(tmp_path / "small")
    versions = set()
    with start_writer(path, "exchange") as writer:
        end = time.monotonic() + 1.5
        try:
            while time.monotonic() < end:
                versions.add(read_bundle_files(path).config.version)
                assert len(find_bundles(tmp_path)) == 1
        finally:
            writer.kill()
    assert len(versions) > 5
