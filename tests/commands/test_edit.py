"""`heed export BUNDLE --set FIELD=VALUE` writes a changed copy of a bundle."""

from pathlib import Path

import pytest

from heed.model.inference.bundle import Bundle
from tests.support.bundles import CONFIG, to_format_1, write_small_bundle
from tests.support.command import heed, heed_without


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_small_bundle(tmp_path / "small")


def failure(*arguments: object) -> str:
    done = heed("export", *arguments, check=False)
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    return line


def test_values_are_set_and_everything_else_stays(bundle: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    done = heed_without(
        *("torch", "export", bundle, "--out", new, "--set", "min_confidence=0.6"),
        *("--set", "temperature=2", "--set", "name=other", "--set", "version=1.10"),
    )
    assert (done.returncode, done.stdout) == (0, f"{new}: other 1.10\n")
    before, after = Bundle.load(bundle), Bundle.load(new)
    changes = {"min_confidence": 0.6, "temperature": 2.0, "name": "other", "version": "1.10"}
    assert after.config.model_dump(include=set(CONFIG)) == CONFIG | changes
    for name in ("model.onnx", "tokenizer.json"):
        assert (new / name).read_bytes() == (bundle / name).read_bytes()
    card = (new / "README.md").read_text()
    assert card.startswith("a card\n## Changed after training")
    assert "| `min_confidence` | null | 0.6 |" in card
    assert before.config.model_dump(include=set(CONFIG)) == CONFIG


def test_a_bundle_can_be_changed_in_its_place(bundle: Path) -> None:
    assert "--force" in failure(bundle, "--out", bundle, "--set", "min_confidence=0.6")
    heed("export", bundle, "--out", bundle, "--set", "min_confidence=0.6", "--force")
    assert Bundle.load(bundle).config.min_confidence == 0.6
    heed("export", bundle, "--out", bundle, "--set", "min_confidence=null", "--force")
    assert Bundle.load(bundle).config.min_confidence is None


def test_a_copy_without_changes_has_the_current_format(bundle: Path, tmp_path: Path) -> None:
    to_format_1(bundle)
    heed("export", bundle, "--out", tmp_path / "new")
    assert Bundle.load(tmp_path / "new").config.format == 2
    assert (tmp_path / "new" / "README.md").read_text() == "a card"


def test_names_and_versions_may_be_quoted(bundle: Path, tmp_path: Path) -> None:
    arguments = ("--set", 'version="2.0"', "--set", 'name="b"')
    heed("export", bundle, "--out", tmp_path / "new", *arguments)
    config = Bundle.load(tmp_path / "new").config
    assert (config.name, config.version) == ("b", "2.0")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("min_confidence=2", "min_confidence must be a number from 0 to 1, or null"),
        ("min_confidence=true", "min_confidence must be a number from 0 to 1, or null"),
        ("min_confidence=NaN", "min_confidence must be a number from 0 to 1, or null"),
        ("min_confidence=", "min_confidence must be a number from 0 to 1, or null"),
        ("temperature=0", "temperature must be a number above 0"),
        ("temperature=null", "temperature must be a number above 0"),
        ("temperature=1e400", "temperature must be a number above 0"),
        ("name=a b", "name must be 1 to 64 letters, digits"),
        ("version=", "version must be 1 to 64 characters"),
        ("labels=[]", "one of name, version, min_confidence, temperature"),
        ("temperature", "must be FIELD=VALUE"),
    ],
)
def test_a_setting_that_is_not_valid_is_an_error(
    bundle: Path, tmp_path: Path, setting: str, message: str
) -> None:
    line = failure(bundle, "--out", tmp_path / "new", "--set", setting)
    assert line.startswith(f"heed: --set {setting}: ")
    assert message in line
    assert not (tmp_path / "new").exists()


def test_a_field_is_set_once(bundle: Path, tmp_path: Path) -> None:
    twice = ("--set", "temperature=2", "--set", "temperature=3")
    assert "temperature is set twice" in failure(bundle, "--out", tmp_path / "new", *twice)


def test_a_damaged_bundle_is_not_changed(bundle: Path, tmp_path: Path) -> None:
    (bundle / "model.onnx").write_bytes(b"")
    line = failure(bundle, "--out", tmp_path / "new", "--set", "temperature=2")
    assert "model.onnx: its SHA-256" in line


def test_a_checkpoint_has_no_fields_to_set(tmp_path: Path) -> None:
    line = failure(tmp_path, "--out", tmp_path / "new", "--set", "temperature=2")
    assert "is not a bundle" in line
