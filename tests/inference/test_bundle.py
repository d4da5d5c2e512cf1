"""Bundles: what is written loads again, and damaged bundles are rejected with the reason."""

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from heed.model.errors import BundleError, DataError
from heed.model.inference import Bundle, check_free, find_bundles, write_bundle
from heed.model.inference.classifier import OnnxClassifier
from heed.model.text.tokenizer import Tokenizer
from tests.support.bundles import read_config, to_format_1, write_config, write_small_bundle


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "copy"))


def change(path: Path, edit: Callable[[dict[str, Any]], Any]) -> None:
    tree = read_config(path)
    edit(tree)
    write_config(path, tree)


def rewrite(path: Path, edit: Callable[[onnx.ModelProto], Any]) -> None:
    """Change the ONNX file and its hash, as another exporter could."""
    bundle = Bundle.load(path)
    model = onnx.load_from_string(bundle.model)
    edit(model)
    write_bundle(
        path,
        bundle.config.model_dump(),
        model.SerializeToString(),
        bundle.tokenizer.to_json(),
        "",
        force=True,
    )


def test_a_saved_bundle_loads_with_the_same_content(trained: Path, tmp_path: Path) -> None:
    bundle = Bundle.load(trained)
    again = write_bundle(
        tmp_path / "again",
        bundle.config.model_dump(),
        bundle.model,
        bundle.tokenizer.to_json(),
        "a card",
    )
    assert again.config == bundle.config
    assert again.model == bundle.model
    texts = ["What a wonderful film!", "这家酒店很差", "x"]
    for a, b in zip(
        OnnxClassifier(bundle).predict(texts), OnnxClassifier(again).predict(texts), strict=True
    ):
        assert (a.logits == b.logits).all()
        assert a.encoding.spans == b.encoding.spans


def error_of(path: Path) -> str:
    with pytest.raises(BundleError) as caught:
        OnnxClassifier(Bundle.load(path))
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "config.json"])
def test_a_missing_file_is_an_error(copy: Path, name: str) -> None:
    (copy / name).unlink()
    assert f"{name}: cannot be read" in error_of(copy)


def test_a_path_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path in (tmp_path / ("a" * 300), tmp_path / "loop", tmp_path / "none"):
        assert "cannot be read" in error_of(path)


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_changed_byte_is_an_error(copy: Path, name: str) -> None:
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    assert "SHA-256" in error_of(copy)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c.update(format=3), "format 3 is not supported"),
        (lambda c: c.pop("labels"), "labels"),
        (lambda c: c.update(labels=["a", "a"]), "differ"),
        (lambda c: c.update(labels=["a"]), "labels"),
        (lambda c: c.update(labels=["a", "b", "c"], bias=[0, 0, 0]), "shape"),
        (lambda c: c.update(bias=[0]), "bias has 1 numbers for 2 labels"),
        (lambda c: c.update(temperature=0), "temperature"),
        (lambda c: c.update(min_confidence=2), "min_confidence"),
        (lambda c: c.update(name="a/b"), "name"),
        (lambda c: c.update(sha256={}), "SHA-256"),
        (lambda c: c.update(max_tokens=0), "max_tokens"),
        (lambda c: c.update(max_tokens=10**9), "fails on token ids of its vocabulary"),
        (lambda c: c.update(bias=[1.0, -1.0]), "not the bias in config.json"),
    ],
)
def test_an_invalid_configuration_is_an_error(
    copy: Path, edit: Callable[[dict[str, Any]], Any], message: str
) -> None:
    change(copy, edit)
    assert message in error_of(copy)


def test_a_configuration_must_be_json(copy: Path) -> None:
    for content in (b"{", b"[" * 100_000):
        (copy / "config.json").write_bytes(content)
        assert "not valid JSON" in error_of(copy)


def test_a_missing_output_is_an_error(copy: Path) -> None:
    rewrite(copy, lambda model: model.graph.output.pop(1))
    assert "lacks the output" in error_of(copy)


def unmask_pooling(model: onnx.ModelProto) -> None:
    [masked] = [tensor for tensor in model.graph.initializer if tensor.name == "masked_score"]
    masked.CopyFrom(onnx.numpy_helper.from_array(np.array(0, np.float32), "masked_score"))


def unmask_attention(model: onnx.ModelProto) -> None:
    """Remove the mask from self-attention, with weights that make the neighbours matter."""
    [attention] = [node for node in model.graph.node if node.op_type == "Attention"]
    del attention.input[3]
    for tensor in model.graph.initializer:
        if tensor.name in ("gate_weight", "head_weight", "join_weight0"):
            weight = onnx.numpy_helper.to_array(tensor)
            random = np.random.default_rng(0).normal(size=weight.shape).astype(np.float32)
            tensor.CopyFrom(onnx.numpy_helper.from_array(random, tensor.name))


@pytest.mark.parametrize("unmask", [unmask_pooling, unmask_attention])
def test_a_network_that_does_not_mask_padding_is_an_error(
    copy: Path, unmask: Callable[[onnx.ModelProto], None]
) -> None:
    rewrite(copy, unmask)
    assert "does not mask padding" in error_of(copy)


@pytest.mark.parametrize(
    ("content", "message"), [(b"no", "not a valid ONNX file"), (b"", "onnxruntime cannot load")]
)
def test_a_file_that_is_not_onnx_is_an_error(copy: Path, content: bytes, message: str) -> None:
    bundle = Bundle.load(copy)
    parts = (bundle.config.model_dump(), content, bundle.tokenizer.to_json(), "")
    write_bundle(copy, *parts, force=True)
    assert message in error_of(copy)


def test_an_invalid_tokenizer_is_an_error_and_keeps_the_old_bundle(copy: Path) -> None:
    bundle = Bundle.load(copy)
    for document in ("no", "{}", "[]"):
        with pytest.raises(BundleError, match="not a valid tokenizer"):
            write_bundle(copy, bundle.config.model_dump(), bundle.model, document, "", force=True)
    assert Bundle.load(copy).config == bundle.config


def test_an_existing_folder_is_not_overwritten(copy: Path, tmp_path: Path) -> None:
    bundle = Bundle.load(copy)
    parts = (bundle.config.model_dump(), bundle.model, bundle.tokenizer.to_json(), "")
    with pytest.raises(DataError, match="--force"):
        check_free(copy, force=False)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("mine")
    with pytest.raises(DataError, match="not a bundle"):
        check_free(tmp_path / "notes", force=True)
    (tmp_path / "empty").mkdir()
    write_bundle(tmp_path / "empty", *parts)


def test_a_path_that_cannot_be_written_is_an_error(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = Bundle.load(copy)
    parts = (bundle.config.model_dump(), bundle.model, bundle.tokenizer.to_json(), "")
    for path in (copy / "README.md" / "x", Path("/proc/x/y"), tmp_path / ("a" * 300)):
        with pytest.raises(DataError, match=r"cannot be written to: .*choose another path"):
            check_free(path, force=False)
    with pytest.raises(DataError, match="is a mount point"):
        check_free(Path("/"), force=True)
    monkeypatch.chdir(copy)
    with pytest.raises(DataError, match="is the current folder"):
        check_free(Path(), force=True)
    assert Bundle.load(copy).config == bundle.config
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(DataError, match="loop") as caught:
        write_small_bundle(tmp_path / "loop" / "x")
    assert_kept(caught.value)
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write_bundle(tmp_path / "link", *parts)
    write_bundle(tmp_path / "link", *parts, force=True)
    assert Bundle.load(tmp_path / "target").model == bundle.model


def test_bundles_are_found_in_a_folder(
    copy: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert list(find_bundles(copy)) == ["reviews"]
    assert list(find_bundles(tmp_path)) == ["reviews"]
    shutil.copytree(copy, tmp_path / "second")
    assert find_bundles(tmp_path)["reviews"].path == copy
    assert "second: skipped, because" in caplog.text
    (tmp_path / "second" / "config.json").unlink()
    with pytest.raises(BundleError, match=r"second/config\.json: cannot be read"):
        find_bundles(tmp_path)
    with pytest.raises(BundleError, match="File name too long"):
        find_bundles(tmp_path / ("a" * 300))
    (tmp_path / "empty").mkdir()
    with pytest.raises(BundleError, match="contains no bundle"):
        find_bundles(tmp_path / "empty")
    with pytest.raises(BundleError, match="no such folder"):
        find_bundles(tmp_path / "none")


def test_versions_of_a_bundle_are_found_side_by_side(tmp_path: Path) -> None:
    for version in ("1.9", "1.10"):
        write_small_bundle(tmp_path / f"small-{version}", version=version)
    table = find_bundles(tmp_path)
    assert table["small"].config.version == "1.10"
    assert table["small@1.9"].path == tmp_path / "small-1.9"


def test_format_1_loads_with_one_log_line(copy: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "heed")
    before = Bundle.load(copy)
    assert not caplog.messages
    to_format_1(copy)
    change(copy, lambda config: config.update(older_field=1))
    bundle = Bundle.load(copy)
    assert (
        bundle.config.model_copy(update={"format": 2, "sha256": before.config.sha256})
        == before.config
    )
    assert (bundle.model, bundle.tokenizer.to_json()) == (before.model, before.tokenizer.to_json())
    [line] = caplog.messages
    assert "has bundle format 1; `heed export" in line


def test_a_bundle_that_needs_a_newer_version_is_refused(tmp_path: Path) -> None:
    small = write_small_bundle(tmp_path / "small")
    thresholds = {"no": 0.5, "yes": 0.5}
    for fields in (
        {"problem_type": "multi_label_classification", "thresholds": thresholds},
        {"text_fields": ["title", "body"]},
    ):
        change(small, lambda config, fields=fields: config.update(fields))  # type: ignore[misc]
        with pytest.raises(BundleError, match="update Heed"):
            Bundle.load(small)
        write_small_bundle(small, force=True)


def test_a_bundle_that_cannot_be_put_in_its_place_is_kept(tmp_path: Path) -> None:
    def fail(new: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(DataError, match=r"No space left .*; the bundle is kept in ") as caught:
        write_small_bundle(tmp_path / "small", methods=[fail])
    assert_kept(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_bundle_is_kept_if_its_folder_was_written_meanwhile(tmp_path: Path) -> None:
    write_small_bundle(tmp_path / "small", version="1")
    with pytest.raises(DataError, match=r"add --force; the bundle is kept in ") as caught:
        write_small_bundle(tmp_path / "small", version="2")
    assert_kept(caught.value)
    assert Bundle.load(tmp_path / "small").config.version == "1"


def test_a_bundle_whose_write_was_killed_is_replaced_only_with_force(tmp_path: Path) -> None:
    saved = write_small_bundle(tmp_path / "small").rename(tmp_path / ".small.saved")
    with pytest.raises(DataError, match="a bundle already exists there"):
        check_free(tmp_path / "small", force=False)
    assert Bundle.load(tmp_path / "small").path == tmp_path / "small"
    write_small_bundle(tmp_path / "small", force=True)
    assert not saved.exists()


def assert_kept(error: DataError) -> None:
    """The error names a folder with the whole bundle, which is then removed."""
    kept = Path(str(error).rpartition(" ")[2])
    assert Bundle.load(kept).config.name == "small"
    assert (kept / "README.md").read_text() == "a card"
    shutil.rmtree(kept)


def test_no_text_yields_the_padding_id(trained: Path) -> None:
    """Neither a tokenizer fitted by Heed nor an adapted pretrained one yields id 0."""
    fitted = Tokenizer.fit(["a film", "a [PAD] film"] * 9, 100)
    assert fitted.padding_literal == "[PAD]"
    for tokenizer in (fitted, Bundle.load(trained).tokenizer):
        for text in (f"{tokenizer.padding_literal} a [PAD][PAD]", "[PAD] [PAD] "):
            assert tokenizer.ids(text)
            assert 0 not in tokenizer.ids(text)
