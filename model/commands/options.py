"""The options of `heed train`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from heed.model.data import DataFiles
from heed.model.errors import DataError
from heed.model.inference import Name, Version


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """The options of `heed train`."""

    files: DataFiles
    out: Path
    """Folder to write the bundle to."""
    name: str | None = None
    """Name of the bundle; None: the name of the folder `out`."""
    version: str | None = None
    """Version of the bundle; None: 1.0.0."""
    data_name: str | None = None
    """Name of the data for the model card; None: the names of the training files."""
    terms: str | None = None
    """Licence or terms of the data for the model card."""
    checkpoint: Path | None = None
    """Folder to save the training in."""
    resume: bool = False
    """Whether to resume from the checkpoint."""
    logdir: Path | None = None
    """Folder for TensorBoard."""
    force: bool = False
    """Whether to replace an existing bundle or checkpoint."""
    init_embeddings: str | None = None
    """Sentence encoder whose token vectors initialize the embeddings; None: the vectors that are
    part of Heed if the texts are English; "none": random vectors."""
    teacher: str | None = None
    """Sentence encoder to fine-tune and distil; None: no distillation."""
    target_precision: float | None = None
    """Minimum precision on dev; None: no threshold is chosen for it."""
    tune_minutes: float | None = None
    """Time limit of the hyperparameter search; None: no search."""
    seed: int = 0
    """Random seed."""
    command: str = "heed train"
    """The command as typed, for the model card."""
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """Values of `TrainConfig` fields to use in place of the derived ones."""

    def __post_init__(self) -> None:
        """Check that the options fit together and give a valid bundle.

        Raises:
            DataError: they do not.
        """
        _ = self.bundle_name
        try:
            TypeAdapter(Version | None).validate_python(self.version)
        except ValidationError as error:
            raise DataError(
                f"--version {self.version!r} is not valid; give 1 to 64 characters"
            ) from error
        if self.resume and not self.checkpoint:
            raise DataError("--resume needs --checkpoint DIR, the folder to resume from")
        if self.files.unlabelled and not self.teacher:
            raise DataError(
                "--unlabelled needs --teacher ENCODER, the encoder that labels these texts"
            )

    @property
    def bundle_name(self) -> str:
        """The name of the bundle."""
        name = self.name or self.out.resolve().name
        try:
            return TypeAdapter(Name).validate_python(name)
        except ValidationError as error:
            raise DataError(
                f"{name!r} cannot be a bundle's name; give one with --name: letters, digits, "
                "'.', '_' and '-', at most 64"
            ) from error
