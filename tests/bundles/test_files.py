"""Bundles are read from regular files below the bundle folder, each file once."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest

from heed.model.bundles.files import (
    BundleFiles,
    find_bundle_folders,
    read_bundle_files,
    read_bundle_folder,
)
from heed.model.errors import BundleError
from heed.model.inference.bundle import Bundle
from tests.support.bundles import read_config, write_config, write_small_bundle
from tests.support.command import ROOT

COVERED = ("config.json", "model.onnx", "tokenizer.json")


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_small_bundle(tmp_path / "bundles" / "small")


def refusal(path: Path, root: Path | None = None) -> str:
    with pytest.raises(BundleError) as caught:
        read_bundle_files(path, root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_reading_loads_neither_onnxruntime_nor_tokenizers() -> None:
    program = (
        "import sys; import heed.model.bundles.files; "
        "import heed.model.bundles.served; "
        "print({'onnxruntime', 'tokenizers', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def test_the_same_bytes_can_be_checked_again_in_another_process(bundle: Path) -> None:
    files = read_bundle_files(bundle)
    again = BundleFiles.from_content(bundle, files.content)
    assert again == files
    assert again.fingerprint == files.fingerprint
    assert Bundle.from_files(again).config == files.config
    changed = {**files.content, "model.onnx": b"other"}
    with pytest.raises(BundleError, match=r"model\.onnx: its SHA-256"):
        BundleFiles.from_content(bundle, changed)
    with pytest.raises(BundleError, match=r"model\.onnx: cannot be read"):
        BundleFiles.from_content(
            bundle, {name: files.content[name] for name in ("config.json", "tokenizer.json")}
        )


def test_further_files_are_covered_by_their_hashes(bundle: Path) -> None:
    (bundle / "model.int8.onnx").write_bytes(b"small")
    assert "model.int8.onnx" not in read_bundle_files(bundle).content
    config = read_config(bundle)
    digest = read_bundle_files(bundle).config.sha256["model.onnx"]
    config["sha256"]["model.int8.onnx"] = digest
    write_config(bundle, config)
    assert "model.int8.onnx: its SHA-256" in refusal(bundle)
    (bundle / "model.int8.onnx").write_bytes((bundle / "model.onnx").read_bytes())
    assert Bundle.load(bundle).further == {"model.int8.onnx": (bundle / "model.onnx").read_bytes()}
    (bundle / "model.int8.onnx").unlink()
    assert "model.int8.onnx: cannot be read" in refusal(bundle)


@pytest.mark.parametrize("name", COVERED)
@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "link to a device", "loop"])
def test_what_is_not_a_regular_file_is_refused_at_once(bundle: Path, name: str, kind: str) -> None:
    file = bundle / name
    file.unlink()
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    elif kind == "device":
        try:
            os.mknod(file, 0o666 | 0o020000, os.makedev(1, 5))  # a second /dev/zero
        except PermissionError:
            pytest.skip("only root can make devices")
    else:
        file.symlink_to("/dev/zero" if kind == "link to a device" else file)
    expected = "cannot be read" if kind == "loop" else "is not a regular file"
    assert f"{name}: {expected}" in refusal(bundle)


def test_a_link_may_lead_to_a_file_below_the_folder_of_bundles(bundle: Path) -> None:
    root = bundle.parent
    (root / "store").mkdir()
    (bundle / "model.onnx").rename(root / "store" / "1")
    (bundle / "model.onnx").symlink_to("../store/1")
    assert read_bundle_files(bundle, root).content["model.onnx"]
    assert f"links to {root}/store/1, which is outside" in refusal(bundle)


@pytest.mark.parametrize("name", COVERED)
def test_a_link_that_leaves_the_folder_of_bundles_is_refused(
    bundle: Path, tmp_path: Path, name: str
) -> None:
    (bundle / name).rename(tmp_path / "outside")
    (bundle / name).symlink_to(tmp_path / "outside")
    assert f"{name}: links to {tmp_path}/outside" in refusal(bundle, bundle.parent)


def test_the_folder_of_a_bundle_may_be_a_link(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "small").symlink_to(bundle)
    assert [one.config.name for one in read_bundle_folder(tmp_path / "served").bundles] == ["small"]


def test_a_file_that_is_too_large_is_refused(bundle: Path) -> None:
    with (bundle / "config.json").open("ab") as file:
        file.truncate(17 << 20)
    assert "config.json: has more than 16,777,216 bytes" in refusal(bundle)


@contextmanager
def without_root() -> Generator[None]:
    """Let permissions apply, if the tests run as root."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        if user == 0:
            os.seteuid(user)


def test_hidden_folders_and_folders_that_cannot_be_read_are_skipped(tmp_path: Path) -> None:
    # Not `tmp_path`, because another user may not enter it.
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        for name in ("small", ".hidden", "lost+found", "closed", "data"):
            write_small_bundle(root / name)
        for name in ("config.json", "model.onnx"):
            (root / "data" / name).unlink()
        (root / "a-file").write_text("")
        (root / "dangling").symlink_to("nothing")
        (root / "loop").symlink_to("loop")
        (root / "closed").chmod(0)
        with without_root():
            folders, skipped = find_bundle_folders(root)
        (root / "closed").chmod(0o755)
        assert folders == [root / "small"]
        assert [line.split(": ")[0] for line in skipped] == [
            str(root / name) for name in (".hidden", "closed", "loop", "lost+found")
        ]
        assert "Permission denied" in skipped[1]
        assert find_bundle_folders(root / ".hidden") == ([root / ".hidden"], [])
        assert read_bundle_folder(root / "lost+found").bundles


def test_a_bundle_that_is_refused_does_not_hide_the_others(bundle: Path) -> None:
    broken = write_small_bundle(bundle.with_name("broken"))
    (broken / "model.onnx").write_bytes(b"")
    reading = read_bundle_folder(bundle.parent)
    assert [one.path for one in reading.bundles] == [bundle]
    assert list(reading.refused) == [broken]


def test_damage_is_refused_or_changes_no_value(bundle: Path) -> None:
    random = Random(20)
    sound = {name: (bundle / name).read_bytes() for name in COVERED}
    expected = Bundle.load(bundle)
    outcomes = {"refused": 0, "same": 0}
    for _ in range(600):
        name = random.choice(COVERED)
        content = bytearray(sound[name])
        if random.random() < 0.7:
            content[random.randrange(len(content))] ^= 1 << random.randrange(8)
        else:
            size = random.randrange(1, 9)
            first, second = (random.randrange(len(content) - size) for _ in range(2))
            one, other = content[first : first + size], content[second : second + size]
            content[first : first + size], content[second : second + size] = other, one
        (bundle / name).write_bytes(content)
        try:
            found = Bundle.load(bundle)
        except BundleError:
            outcomes["refused"] += 1
        else:
            assert found.config == expected.config
            assert found.model == expected.model
            assert found.tokenizer.to_json() == expected.tokenizer.to_json()
            outcomes["same"] += 1
        (bundle / name).write_bytes(sound[name])
    assert outcomes["refused"] > 500


def test_swapped_labels_are_refused(bundle: Path) -> None:
    text = (bundle / "config.json").read_text()
    swapped = text.replace('"no"', '"?"').replace('"yes"', '"no"').replace('"?"', '"yes"')
    (bundle / "config.json").write_text(swapped)
    assert "config.json: its SHA-256" in refusal(bundle)
