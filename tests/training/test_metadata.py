"""The metadata of a training: converted to JSON and back, and extended step by step."""

import json
from dataclasses import replace
from typing import Any

import pytest

from heed.model.training.config import TrainConfig
from heed.model.training.metadata import (
    DataDescription,
    EncoderOptions,
    TeacherDescription,
    ThresholdRequest,
    TrainingMetadata,
    TuningResult,
)

CONFIG = TrainConfig(vocabulary=300, max_tokens=32, epochs=3, batch=16, patience=2, dropout=0.0)
METADATA_EXAMPLE = TrainingMetadata(
    name="reviews",
    version="1.0.0",
    labels=("negative", "positive"),
    config=CONFIG,
    network=CONFIG.network(300, 2),
    encoders=EncoderOptions(init_embeddings=None, teacher="an/encoder"),
    data=DataDescription(
        name="a.csv", terms=None, train=20, dev=5, test=0, notes=("One note.",), fingerprint="f"
    ),
    date="2026-12-01",
    command="heed train a.csv --out reviews",
    initial_embeddings=None,
    teacher=TeacherDescription(name="encoder", unlabelled=3, augmented=60),
    threshold=ThresholdRequest(target_precision=None, out_of_scope=4),
)
TUNING = TuningResult(
    minutes=1, trials=2, changed={"blocks": 2, "dropout": 0.1}, planned_accuracy=0.8, accuracy=0.9
)


def test_metadata_is_equal_after_conversion_to_json() -> None:
    metadata = METADATA_EXAMPLE.with_tuning(TUNING).with_teacher_accuracy(0.75, token_targets=64)
    tree = json.loads(json.dumps(metadata.to_dict()))
    again = TrainingMetadata.from_dict(tree)
    assert again == metadata
    assert again.tuned_config.blocks == 2
    assert isinstance(again.tuned_config.blocks, int)


def set_path(tree: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    *parents, last = path.split(".")
    target = tree
    for parent in parents:
        target = target[parent]
    if value is None:
        del target[last]
    else:
        target[last] = value
    return tree


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("name", 3),
        ("labels", "negative"),
        ("unknown", 1),
        ("version", None),
        ("network.unknown", 1),
        ("network.width", 0),
        ("config.epochs", "3"),
        ("data.train", 1.5),
        ("data.unknown", 1),
        ("teacher.augmented", "60"),
    ],
)
def test_invalid_metadata_is_an_error(path: str, value: Any) -> None:
    tree = set_path(json.loads(json.dumps(METADATA_EXAMPLE.to_dict())), path, value)
    with pytest.raises(ValueError, match=path.rpartition(".")[2]):
        TrainingMetadata.from_dict(tree)


def test_a_missing_key_with_a_default_is_an_error() -> None:
    tree = set_path(json.loads(json.dumps(METADATA_EXAMPLE.to_dict())), "network.width", None)
    with pytest.raises(ValueError, match="a key is missing"):
        TrainingMetadata.from_dict(tree)


def test_a_search_changes_the_network_and_keeps_the_derived_configuration() -> None:
    distilled = METADATA_EXAMPLE.with_teacher_accuracy(0.75, token_targets=64)
    tuned = distilled.with_tuning(TUNING)
    assert tuned.config == CONFIG
    assert tuned.tuned_config == replace(CONFIG, blocks=2, dropout=0.1)
    assert tuned.network == replace(distilled.network, blocks=2, dropout=0.1)
    assert tuned.network.token_targets == 64


def test_the_report_has_the_keys_of_a_bundle() -> None:
    report = METADATA_EXAMPLE.report()
    assert list(report) == [
        "data", "rows", "notes", "terms", "seed", "epochs", "date", "command", "abstaining",
        "teacher",
    ]  # fmt: skip
    assert report["rows"] == {"train": 20, "dev": 5, "test": 0}
    assert report["abstaining"] == {"target_precision": None, "out_of_scope": 4}
    named = replace(METADATA_EXAMPLE, initial_embeddings="encoder", teacher=None, threshold=None)
    report = named.with_tuning(TUNING).report()
    assert report["init_embeddings"] == "encoder"
    assert report["abstaining"] is None
    assert report["tuned"]["changed"] == {"blocks": 2, "dropout": 0.1}
    assert "teacher" not in report
