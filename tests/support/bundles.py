"""Small bundles whose files load fast, and configs with valid hashes."""

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from heed.model.bundles.config import config_digest
from heed.model.bundles.replacement import METHODS, Method
from heed.model.inference.bundle import write_bundle
from heed.model.text.tokenizer import Tokenizer

CONFIG: dict[str, Any] = {
    "name": "small", "version": "1.0", "labels": ["no", "yes"], "max_tokens": 8,
    "bias": [0.5, -0.5], "temperature": 1.5, "min_confidence": None,
    "network": {"width": 4}, "training": {"rows": {"train": 3}}, "scores": {}, "tools": {},
}  # fmt: skip
MODEL = b"no network"


@cache
def small_tokenizer() -> str:
    return Tokenizer.fit(["a good film", "a bad film"], 100).to_json()


def write_small_bundle(
    path: Path, *, force: bool = False, methods: Sequence[Method] = METHODS, **fields: Any
) -> Path:
    """Write a bundle that has no network; `fields` are of its config."""
    write_bundle(
        path, CONFIG | fields, MODEL, small_tokenizer(), "a card", force=force, methods=methods
    )
    return path


def read_config(path: Path) -> dict[str, Any]:
    tree: dict[str, Any] = json.loads((path / "config.json").read_text("utf-8"))
    return tree


def write_config(path: Path, tree: dict[str, Any]) -> None:
    """Write a config with its new hash, as another exporter could."""
    if isinstance(hashes := tree.get("sha256"), dict) and "config.json" in hashes:
        tree = tree | {"sha256": hashes | {"config.json": config_digest(tree)}}
    content = json.dumps(tree, ensure_ascii=False).encode(errors="surrogatepass")
    (path / "config.json").write_bytes(content)


def to_format_1(path: Path) -> None:
    """Change a bundle to format 1, as Heed wrote it before version 0.3."""
    tree = read_config(path) | {"format": 1}
    del tree["sha256"]["config.json"]
    write_config(path, tree)
