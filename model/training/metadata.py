"""Everything about a training that its checkpoint records and its bundle reports."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from pydantic import ConfigDict, TypeAdapter

from heed.model.nn import NetworkConfig
from heed.model.training.config import TrainConfig

STRICT = ConfigDict(extra="forbid", strict=True)


@dataclass(frozen=True, kw_only=True)
class EncoderOptions:
    """The pretrained encoders as the command line names them. They may not change on resume."""

    __pydantic_config__ = STRICT
    init_embeddings: str | None
    teacher: str | None


@dataclass(frozen=True, kw_only=True)
class DataDescription:
    """The data of a training."""

    __pydantic_config__ = STRICT
    name: str
    terms: str | None
    train: int
    """Number of training rows."""
    dev: int
    test: int
    notes: tuple[str, ...]
    """See `TrainingRows`."""
    fingerprint: str
    """SHA-256 of all training and dev texts with their labels."""


@dataclass(frozen=True, kw_only=True)
class TeacherDescription:
    """The teacher of a distillation."""

    __pydantic_config__ = STRICT
    name: str
    unlabelled: int
    """Number of unlabelled texts that it labelled."""
    augmented: int
    """Number of augmented texts that it labelled."""
    dev_accuracy: float | None = None
    """None until it is fine-tuned."""


@dataclass(frozen=True, kw_only=True)
class TuningResult:
    """The result of a hyperparameter search."""

    __pydantic_config__ = STRICT
    minutes: float
    trials: int
    changed: dict[str, int | float]
    """Fields of `TrainConfig` whose best value differs from the derived one."""
    planned_accuracy: float
    """Dev accuracy with the derived configuration."""
    accuracy: float
    """Dev accuracy with the best configuration."""


@dataclass(frozen=True, kw_only=True)
class ThresholdRequest:
    """What the confidence threshold is chosen by."""

    __pydantic_config__ = STRICT
    target_precision: float | None
    out_of_scope: int
    """Number of out-of-scope texts."""


@dataclass(frozen=True, kw_only=True)
class TrainingMetadata:
    """What a training is: enough to resume it, and to describe it in the bundle."""

    __pydantic_config__ = STRICT
    name: str
    """Name of the bundle."""
    version: str
    """Version of the bundle."""
    labels: tuple[str, ...]
    """In the order of the network's outputs."""
    config: TrainConfig
    """As derived from data and options, before a search."""
    network: NetworkConfig
    """As trained, after a search."""
    encoders: EncoderOptions
    data: DataDescription
    date: str
    """ISO date of the start."""
    command: str
    """As typed."""
    initial_embeddings: str | None
    """Name of the encoder whose token vectors initialize the embeddings; None: random vectors."""
    teacher: TeacherDescription | None
    threshold: ThresholdRequest | None
    """None: no confidence threshold was requested."""
    tuning: TuningResult | None = None

    @property
    def tuned_config(self) -> TrainConfig:
        """The configuration that training uses: with the result of the search."""
        changes: dict[str, Any] = dict(self.tuning.changed) if self.tuning else {}
        return replace(self.config, **changes)

    def with_teacher_accuracy(self, accuracy: float, token_targets: int) -> "TrainingMetadata":
        """Return the metadata after the teacher was fine-tuned.

        Args:
            accuracy: of the teacher on dev.
            token_targets: size of a token-level target.
        """
        assert self.teacher is not None
        return replace(
            self,
            teacher=replace(self.teacher, dev_accuracy=accuracy),
            network=replace(self.network, token_targets=token_targets),
        )

    def with_tuning(self, tuning: TuningResult) -> "TrainingMetadata":
        """Return the metadata after a search."""
        tuned = replace(self, tuning=tuning)
        old = self.network
        network = tuned.tuned_config.network(old.vocabulary, old.classes, old.token_targets)
        return replace(tuned, network=network)

    def to_dict(self) -> dict[str, Any]:
        """Return the metadata as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, tree: Mapping[str, Any]) -> "TrainingMetadata":
        """Return the metadata that `to_dict` converted.

        Raises:
            ValueError: a key is missing or unknown, or a value has the wrong type.
        """
        # JSON mode accepts a list for a tuple and an object for a dataclass, and is strict else.
        metadata = TypeAdapter(cls).validate_json(json.dumps(tree))
        if json.loads(json.dumps(metadata.to_dict())) != tree:
            raise ValueError("a key is missing")  # one that has a default
        return metadata

    def report(self) -> dict[str, Any]:
        """Return the `training` section of the bundle's config.json, without measured values."""
        section: dict[str, Any] = {
            "data": self.data.name,
            "rows": {"train": self.data.train, "dev": self.data.dev, "test": self.data.test},
            "notes": list(self.data.notes),
            "terms": self.data.terms,
            "seed": self.config.seed,
            "epochs": self.config.epochs,
            "date": self.date,
            "command": self.command,
            "abstaining": asdict(self.threshold) if self.threshold else None,
        }
        if self.initial_embeddings:
            section["init_embeddings"] = self.initial_embeddings
        if self.teacher:
            section["teacher"] = asdict(self.teacher)
        if self.tuning:
            section["tuned"] = asdict(self.tuning)
        return section
