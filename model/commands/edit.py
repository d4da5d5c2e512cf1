"""`heed export BUNDLE`: copy a bundle with other values in `config.json`. Needs no PyTorch."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from heed.model.bundles import (
    CARD,
    MODEL,
    TOKENIZER,
    BundleConfig,
    parse_json,
    read_bundle_files,
    whole_folder,
)
from heed.model.errors import DataError
from heed.model.inference import Bundle, check_free, write_bundle

TEXT_FIELDS = {
    "name": "1 to 64 letters, digits, dots, underscores and hyphens",
    "version": "1 to 64 characters",
}
JSON_FIELDS = {
    "min_confidence": "a number from 0 to 1, or null",
    "temperature": "a number above 0",
}
ALLOWED = TEXT_FIELDS | JSON_FIELDS
"""Fields that can be changed, and their values."""


def edit_bundle(source: Path, out: Path, settings: Sequence[str], *, force: bool) -> Bundle:
    """Write a copy of a bundle in the current format, and return it.

    Args:
        source: the bundle.
        out: folder to write to; it may be `source` if `force` is set.
        settings: new values as `FIELD=VALUE`. The value is JSON; the quotes around a name or a
            version may be left out.
        force: whether to replace an existing bundle.

    Raises:
        DataError: a setting is not valid, or `out` exists or cannot be written.
        BundleError: the source is not a valid bundle.
    """
    check_free(out, force=force)
    files = read_bundle_files(source)
    before = files.config.model_dump()
    changes = _parse_settings(settings, before)
    card_file = whole_folder(source) / CARD
    card = card_file.read_text("utf-8", "replace") if card_file.is_file() else ""
    known = {*before["sha256"]} - {MODEL, TOKENIZER}
    return write_bundle(
        out,
        before | changes,
        files.content[MODEL],
        files.content[TOKENIZER].decode(),
        card + _describe_changes(before, changes),
        further={name: files.content[name] for name in known if name in files.content},
        force=force,
    )


def _parse_settings(settings: Sequence[str], before: dict[str, Any]) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for setting in settings:
        field, equals, text = setting.partition("=")
        if not equals or field not in ALLOWED:
            raise DataError(
                f"--set {setting}: must be FIELD=VALUE with one of {', '.join(ALLOWED)}"
            )
        if field in changes:
            raise DataError(f"--set {setting}: {field} is set twice; set it once")
        try:
            is_text = field in TEXT_FIELDS and not text.startswith('"')
            changes[field] = text if is_text else parse_json(text.encode())
            BundleConfig.model_validate(before | {field: changes[field]})
        except (ValidationError, ValueError) as error:
            raise DataError(f"--set {setting}: {field} must be {ALLOWED[field]}") from error
    return changes


def _describe_changes(before: dict[str, Any], changes: dict[str, Any]) -> str:
    """Return a section for the model card; the rest of the card describes the bundle as trained."""
    rows = [
        f"| `{field}` | {json.dumps(before[field])} | {json.dumps(value)} |"
        for field, value in changes.items()
        if value != before[field]
    ]
    if not rows:
        return ""
    head = "\n## Changed after training\n\n| field | before | now |\n|---|---|---|\n"
    return head + "\n".join(rows) + "\n\nThe rest of this card describes the bundle before.\n"
