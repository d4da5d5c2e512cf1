"""`config.json` is parsed strictly, and its hash covers every field."""

import json
from typing import Any

import pytest

from heed.model.bundles.config import (
    MAX_DEPTH,
    config_digest,
    format_config,
    parse_config,
    parse_json,
)
from tests.support.bundles import CONFIG

FILES = {"model.onnx": b"a", "tokenizer.json": b"b"}


def tree(**fields: Any) -> dict[str, Any]:
    whole: dict[str, Any] = json.loads(format_config(CONFIG, FILES))
    return whole | fields


def encode(whole: dict[str, Any]) -> bytes:
    """A config with its hash."""
    hashes = whole.get("sha256")
    if isinstance(hashes, dict):
        whole = whole | {"sha256": hashes | {"config.json": config_digest(whole)}}
    return json.dumps(whole).encode()


def nested(depth: int) -> Any:
    value: Any = 1
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


def test_a_written_config_is_parsed_to_the_same_values() -> None:
    config = parse_config(format_config(CONFIG, FILES))
    assert config.format == 2
    assert config.model_dump(include=set(CONFIG)) == CONFIG
    assert set(config.sha256) == {"model.onnx", "tokenizer.json", "config.json"}


def test_the_hash_is_that_of_the_canonical_json_without_hashes() -> None:
    import hashlib

    written = json.loads(format_config(CONFIG | {"labels": ["ä", "b"]}, FILES))
    hashes = written.pop("sha256")
    text = json.dumps(written, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert hashes["config.json"] == hashlib.sha256(text.encode("utf-8")).hexdigest()


def test_values_that_json_changes_are_hashed_as_they_are_read_again() -> None:
    fields = {"training": {"folds": (1, 2), "counts": {2: 0.5, 10: 0.25}}}
    config = parse_config(format_config(CONFIG | fields, FILES))
    assert config.training == {"folds": [1, 2], "counts": {"2": 0.5, "10": 0.25}}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("format", True), ("format", 1.0), ("format", "2"), ("format", 0), ("format", None),
        ("name", 5), ("name", ""), ("name", "a/b"), ("name", "a@1"), ("name", "a\n"),
        ("version", 1), ("version", ""), ("version", None),
        ("labels", ["a", 1]), ("labels", "ab"), ("labels", {"a": 0, "b": 1}), ("labels", ["a"]),
        ("labels", ["a", "a"]), ("labels", ["a", ""]), ("labels", ["a", None]),
        ("max_tokens", True), ("max_tokens", "8"), ("max_tokens", 8.0), ("max_tokens", 0),
        ("bias", [0.5]), ("bias", [0.5, "0"]), ("bias", [0.5, True]), ("bias", None),
        ("temperature", "1"), ("temperature", True), ("temperature", 0), ("temperature", None),
        ("min_confidence", "0.5"), ("min_confidence", False), ("min_confidence", 1.1),
        ("min_confidence", -0.1),
        ("sha256", []), ("sha256", None), ("network", []), ("training", None), ("scores", "x"),
        ("tools", [["a", "b"]]),
        ("problem_type", "regression"), ("problem_type", "multi_label_classification"),
        ("thresholds", {"no": 0.5, "yes": 0.5}), ("text_fields", []), ("text_fields", "title"),
        ("text_fields", ["title", "title"]),
        ("unknown", 1), ("x" * 1000, None), ("two\nlines", 1),
    ],
)  # fmt: skip
def test_a_value_of_another_type_or_range_is_refused(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=r"^[^\n]{1,400}$") as caught:
        parse_config(encode(tree(**{field: value})))
    assert field.split("\n", maxsplit=1)[0][:200] in str(caught.value)


@pytest.mark.parametrize("field", ["name", "version", "labels", "max_tokens", "bias", "sha256"])
def test_a_missing_field_is_refused(field: str) -> None:
    whole = tree()
    del whole[field]
    with pytest.raises(ValueError, match=field):
        parse_config(encode(whole))


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json", "config.json"])
def test_a_missing_hash_is_refused(name: str) -> None:
    whole = tree()
    del whole["sha256"][name]
    content = json.dumps(whole) if name == "config.json" else encode(whole).decode()
    with pytest.raises(ValueError, match=f"lacks the SHA-256 of {name}"):
        parse_config(content.encode())


@pytest.mark.parametrize(
    "hashes", [{"../x": 64 * "0"}, {"": 64 * "0"}, {".x": 64 * "0"}, {"x": "0"}, {"x": 64 * "A"}]
)
def test_a_file_name_or_hash_of_another_form_is_refused(hashes: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="sha256"):
        parse_config(encode(tree(sha256=tree()["sha256"] | hashes)))


def test_a_changed_value_does_not_fit_the_hash() -> None:
    whole = tree(labels=["yes", "no"])
    with pytest.raises(ValueError, match=r"SHA-256 is not the one in it.*heed export"):
        parse_config(json.dumps(whole).encode())


def test_the_hash_is_checked_in_format_1_too() -> None:
    assert parse_config(encode(tree(format=1))).format == 1
    whole = tree(format=1)
    with pytest.raises(ValueError, match="SHA-256"):
        parse_config(json.dumps(whole).encode())


def test_format_1_needs_no_hash_and_may_have_unknown_fields() -> None:
    whole = tree(format=1, older=1)
    del whole["sha256"]["config.json"]
    assert parse_config(json.dumps(whole).encode()).name == "small"
    with pytest.raises(ValueError, match="max_tokens"):
        parse_config(json.dumps(whole | {"max_tokens": True}).encode())


def test_a_newer_format_is_refused() -> None:
    with pytest.raises(ValueError, match=r"format 3 is not supported.*update Heed"):
        parse_config(encode(tree(format=3)))


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"\xff{}", b"\xef\xbb\xbf{}", '{"a": 1}'.encode("utf-16"), b'{"a": 1} x',
        b'{"a": NaN}', b'{"a": -Infinity}', b'{"a": 1e400}', b'{"a": 9007199254740993}',
        b'{"a": ' + b"9" * 5000 + b"}", b'{"a": 1, "a": 1}', b'{"b": [{"a": 1, "a": 2}]}',
        b'{"a": "\\ud800"}', b'{"\\udfff": 1}', b"[" * 100_000,
    ],
)  # fmt: skip
def test_content_that_readers_could_read_differently_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"^not valid JSON \([^\n]*\); copy the bundle again$"):
        parse_json(content)


def test_values_may_be_nested_up_to_a_limit() -> None:
    assert parse_json(json.dumps(nested(MAX_DEPTH)).encode()) == nested(MAX_DEPTH)
    for depth in (MAX_DEPTH + 1, 900):
        with pytest.raises(ValueError, match="nested deeper than 32 levels"):
            parse_json(json.dumps(nested(depth)).encode())


def test_the_fields_of_other_kinds_of_bundle_are_read() -> None:
    fields = {
        "problem_type": "multi_label_classification",
        "thresholds": {"no": 0.5, "yes": 0.25},
        "text_fields": ["title", "body"],
    }
    config = parse_config(format_config(CONFIG | fields, FILES))
    assert config.thresholds == {"no": 0.5, "yes": 0.25}
    assert config.text_fields == ["title", "body"]


def test_a_number_that_is_not_finite_is_not_written() -> None:
    with pytest.raises(ValueError, match="JSON"):
        format_config(CONFIG | {"scores": {"dev": float("nan")}}, FILES)
