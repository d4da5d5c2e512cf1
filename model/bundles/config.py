"""The content of `config.json`: its fields, its strict parser and its hash.

Loads neither onnxruntime nor tokenizers, so that a supervisor process can use it.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, NoReturn, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

MODEL, TOKENIZER, CONFIG, CARD = "model.onnx", "tokenizer.json", "config.json", "README.md"
FORMAT = 2
"""The format that is written. Format 1 has no hash of `config.json`; it can still be read."""
MAX_DEPTH = 32
"""Maximum number of objects and lists around a value."""
MAX_INTEGER = 2**53 - 1
"""Above it, a reader that uses floats for all numbers reads another value (RFC 8259)."""
MULTI_LABEL = "multi_label_classification"

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Version = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Probability = Annotated[Finite, Field(ge=0, le=1)]
Text = Annotated[str, StringConstraints(min_length=1)]
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class BundleConfig(BaseModel):
    """The content of `config.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Annotated[int, Field(ge=1, le=FORMAT)]
    name: Name
    version: Version
    labels: Annotated[list[Text], Field(min_length=2)]
    """In the order of the outputs of the network."""
    max_tokens: Annotated[int, Field(ge=1)]
    """Number of tokens of a text that the network reads."""
    bias: list[Finite]
    """Constant term of the logit of each label."""
    temperature: Annotated[Finite, Field(gt=0)]
    """Probabilities are softmax(logits / temperature)."""
    min_confidence: Probability | None
    """Below this probability the answer has no label; None: it always has one."""
    sha256: dict[FileName, Sha256]
    """Hash of each file, by its name; of `config.json` without this field."""
    network: dict[str, Any] = {}
    """Sizes of the network."""
    training: dict[str, Any] = {}
    """Data, options and date of the training."""
    scores: dict[str, Any] = {}
    """Scores on dev and test."""
    tools: dict[str, Any] = {}
    """Versions of the libraries."""
    problem_type: Literal["single_label_classification", "multi_label_classification"] | None = None
    """None: `single_label_classification`."""
    thresholds: dict[str, Probability] | None = None
    """Of a multi-label bundle: the probability from which on a label is given, by label."""
    text_fields: Annotated[list[Text], Field(min_length=1)] | None = None
    """Names of the text columns, if there are several."""

    @model_validator(mode="after")
    def _check_labels(self) -> Self:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("labels must differ from each other")
        if len(self.bias) != len(self.labels):
            raise ValueError(f"bias has {len(self.bias)} numbers for {len(self.labels)} labels")
        return self

    @model_validator(mode="after")
    def _check_problem_type(self) -> Self:
        multi_label = self.problem_type == MULTI_LABEL
        if (self.thresholds is not None) != multi_label:
            raise ValueError(f"thresholds must be set if problem_type is {MULTI_LABEL}, else not")
        if self.thresholds is not None and self.thresholds.keys() != set(self.labels):
            raise ValueError("thresholds must have one number for each label")
        if multi_label and self.min_confidence is not None:
            raise ValueError(f"min_confidence must be null if problem_type is {MULTI_LABEL}")
        if self.text_fields and len(set(self.text_fields)) != len(self.text_fields):
            raise ValueError("text_fields must differ from each other")
        return self


OPTIONAL = ("problem_type", "thresholds", "text_fields")
"""Fields that are left out of `config.json` where they are None."""


def parse_config(content: bytes) -> BundleConfig:
    """Parse and check the content of `config.json`.

    The hash of the content is checked before the fields. Types are strict. Unknown fields are
    refused in format 2 and ignored in format 1, because older bundles may have such fields.

    Raises:
        ValueError: one line that describes what is wrong.
    """
    tree = parse_json(content)
    if not isinstance(tree, dict):
        raise ValueError("must be a JSON object")
    written = tree.get("format")
    if type(written) is int and written > FORMAT:
        raise ValueError(
            f"format {written} is not supported; this version of Heed reads formats 1 to "
            f"{FORMAT}; update Heed"
        )
    _check_digest(tree)
    if written == 1:
        tree = {key: value for key, value in tree.items() if key in BundleConfig.model_fields}
    try:
        config = BundleConfig.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        message = f"{field}: {first['msg']}" if field else first["msg"]
        raise ValueError(
            f"{_one_line(message.replace('Value error, ', ''))}; export the bundle again"
        ) from error
    for name in (MODEL, TOKENIZER):
        if name not in config.sha256:
            raise ValueError(f"sha256 lacks the SHA-256 of {name}; export the bundle again")
    return config


def format_config(config: Mapping[str, Any], files: Mapping[str, bytes]) -> bytes:
    """Return the content of `config.json` in the current format.

    Args:
        config: the fields; `format` and `sha256` are filled in.
        files: the other files that hashes cover, by name.

    Raises:
        ValueError: a value is not JSON.
    """
    given = {
        key: value for key, value in config.items() if value is not None or key not in OPTIONAL
    }
    # The hash is of the values as they are parsed again: JSON has no tuples and no integer keys.
    tree = json.loads(json.dumps(given | {"format": FORMAT}, allow_nan=False))
    hashes = {name: sha256(content) for name, content in files.items()}
    tree["sha256"] = hashes | {CONFIG: config_digest(tree)}
    return json.dumps(tree, indent=2, ensure_ascii=False).encode() + b"\n"


def config_digest(tree: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a config without its hashes, in canonical JSON."""
    covered = {key: value for key, value in tree.items() if key != "sha256"}
    text = json.dumps(covered, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return sha256(text.encode())


def sha256(content: bytes) -> str:
    """Return the SHA-256 of some bytes in lower-case hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def _check_digest(tree: Mapping[str, Any]) -> None:
    """Raise `ValueError` if the hash of a config is wrong, or is missing in format 2."""
    hashes = tree.get("sha256")
    written = hashes.get(CONFIG) if isinstance(hashes, dict) else None
    if written is None and tree.get("format") == 1:
        return
    if written is None:
        raise ValueError(f"sha256 lacks the SHA-256 of {CONFIG}; export the bundle again")
    if written != config_digest(tree):
        raise ValueError(
            "its SHA-256 is not the one in it, so the file was changed or damaged; copy the bundle "
            "again, or change a field with `heed export BUNDLE --set FIELD=VALUE --out NEW`"
        )


def parse_json(content: bytes) -> Any:
    """Parse JSON of which every reader reads the same values.

    Raises:
        ValueError: the content is not JSON in UTF-8, an object has two equal keys, a number is not
            finite or too large, or the values are nested too deep.
    """
    try:
        tree = json.loads(
            content.decode(),
            object_pairs_hook=_parse_object,
            parse_constant=_refuse_constant,
            parse_float=_parse_float,
            parse_int=_parse_integer,
        )
        json.dumps(tree, ensure_ascii=False).encode()  # UTF-8 cannot encode a lone surrogate
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"not valid JSON ({_one_line(str(error))}); copy the bundle again"
        ) from error
    level = [tree]
    for _ in range(MAX_DEPTH + 1):
        level = [
            child
            for value in level
            if isinstance(value, dict | list)
            for child in (value.values() if isinstance(value, dict) else value)
        ]
        if not level:
            return tree
    raise ValueError(f"its values are nested deeper than {MAX_DEPTH} levels; copy the bundle again")


def _parse_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in pairs:
        if key in tree:
            raise ValueError(f"an object has the key {key!r} twice")
        tree[key] = value
    return tree


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _parse_float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"the number {digits[:40]} is too large")
    return number


def _parse_integer(digits: str) -> int:
    if len(digits) > 20 or abs(int(digits)) > MAX_INTEGER:
        raise ValueError(f"the integer {digits[:40]} is too large")
    return int(digits)


def _one_line(text: str) -> str:
    """Return a text without line breaks, cut at 300 characters: an unknown key may be long."""
    return " ".join(text.split())[:300]
