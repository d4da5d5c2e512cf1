"""A checkpoint folder: everything that is needed to resume a training, or to export it.

| file | content |
|---|---|
| `metadata.json` | `TrainingMetadata` and the format of the folder |
| `tokenizer.json` | as in the bundle |
| `initial_embeddings.safetensors` | initial token vectors, if they are pretrained |
| `dev.jsonl` | dev rows, for calibration and the parity check at export |
| `out_of_scope.jsonl` | out-of-scope texts, if there are any |
| `state.safetensors` | weights, optimizer, best weights; counters as JSON in the file's metadata |
| `ngrams.safetensors` | the n-gram model, if there is one |
| `teacher.safetensors` | like `state.safetensors`, for the teacher, if there is one |
| `teacher_outputs.safetensors` | the teacher's outputs for all texts |

Each file is written to a temporary name and renamed. So after a kill at any moment, the folder has
either the old or the new file. The state of the random generators is not saved: each update derives
its random numbers from the seed and the number of the update.
"""

import json
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from heed.model.data import LabelledTexts, read_labelled, read_texts
from heed.model.errors import DataError
from heed.model.nn import Network, NgramModel
from heed.model.paths import cannot_write
from heed.model.text import Tokenizer
from heed.model.training.distillation_targets import TeacherOutputs
from heed.model.training.metadata import TrainingMetadata
from heed.model.training.tensor_files import damaged, read_tensors, write_tensors, write_text

METADATA, TOKENIZER, STATE = "metadata.json", "tokenizer.json", "state.safetensors"
DEV, OUT_OF_SCOPE = "dev.jsonl", "out_of_scope.jsonl"
INITIAL_EMBEDDINGS, NGRAMS = "initial_embeddings.safetensors", "ngrams.safetensors"
TEACHER, TEACHER_OUTPUTS = "teacher.safetensors", "teacher_outputs.safetensors"
SECONDS_BETWEEN_SAVES = 30.0
FORMAT = 7
"""Format of the folder. It changes when an older folder cannot be resumed."""
OLDER_METADATA = "job.json"
"""File name of the metadata up to format 6."""
OLDER_VERSION = "0.1.0"
"""The version of Heed that wrote these formats."""


@dataclass
class TrainingState:
    """The progress of a training."""

    epoch: int = 0
    """Number of finished epochs."""
    batch: int = 0
    """Number of finished batches of the current epoch."""
    loss: float = 0.0
    """Sum of the losses of these batches."""
    best_epoch: int = 0
    """Number of the best epoch, counted from 1; 0 before the first epoch is finished."""
    best_score: float = -1.0
    """Dev accuracy of the best epoch."""
    best_loss: float = float("inf")
    """Dev loss of the best epoch. It decides between equal accuracies."""
    best: dict[str, Tensor] = field(default_factory=dict)
    """Weights of the best epoch."""


class Checkpoint:
    """A checkpoint folder."""

    def __init__(self, path: Path, state: str = STATE) -> None:
        """Use a folder, which need not exist.

        Args:
            path: the folder.
            state: name of the file that `save` writes and `restore` reads.
        """
        self.path = path
        self._state = path / state
        self._saved_at = time.monotonic()

    def for_teacher(self) -> "Checkpoint":
        """Return the same folder, with the state of the teacher's training."""
        return Checkpoint(self.path, TEACHER)

    @property
    def exists(self) -> bool:
        """Whether the folder holds a training, of any format."""
        return any((self.path / name).exists() for name in (METADATA, OLDER_METADATA))

    @property
    def started(self) -> bool:
        """Whether the state of a training was saved."""
        return self._state.exists()

    @property
    def save_is_due(self) -> bool:
        """Whether the last save is more than `SECONDS_BETWEEN_SAVES` ago."""
        return time.monotonic() - self._saved_at > SECONDS_BETWEEN_SAVES

    def create(
        self,
        metadata: TrainingMetadata,
        tokenizer: Tokenizer,
        dev: LabelledTexts,
        initial_embeddings: Tensor | None,
    ) -> None:
        """Write everything that a resumed training starts from.

        The metadata is written last: if it exists, the other files are complete.

        Args:
            metadata: of the training.
            tokenizer: of the network.
            dev: the dev rows.
            initial_embeddings: (V, D); None: random.

        Raises:
            DataError: the folder cannot be written to.
        """
        stale = (
            METADATA, OLDER_METADATA, STATE, INITIAL_EMBEDDINGS, NGRAMS, TEACHER, TEACHER_OUTPUTS
        )  # fmt: skip
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for name in stale:
                (self.path / name).unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        if initial_embeddings is not None:
            groups = {"embedding": {"weight": initial_embeddings}}
            write_tensors(self.path / INITIAL_EMBEDDINGS, groups, {})
        write_text(self.path / TOKENIZER, tokenizer.to_json())
        write_text(self.path / DEV, _to_jsonl(dev))
        self.save_metadata(metadata)

    def save_metadata(self, metadata: TrainingMetadata) -> None:
        """Write the metadata."""
        tree = {"format": FORMAT} | metadata.to_dict()
        write_text(self.path / METADATA, json.dumps(tree, indent=2))

    def save_out_of_scope(self, texts: LabelledTexts | None) -> None:
        """Write the out-of-scope texts; without any, remove the file."""
        if texts is None:
            (self.path / OUT_OF_SCOPE).unlink(missing_ok=True)
        else:
            write_text(self.path / OUT_OF_SCOPE, _to_jsonl(texts))

    def metadata(self) -> TrainingMetadata:
        """Return the metadata.

        Raises:
            DataError: the folder holds no checkpoint, or one of another format, or the file is
                damaged.
        """
        older = not (self.path / METADATA).exists() and (self.path / OLDER_METADATA).exists()
        path = self.path / (OLDER_METADATA if older else METADATA)
        try:
            tree = json.loads(self._read(path.name))
        except (ValueError, RecursionError) as error:
            raise damaged(path, error) from error
        if not isinstance(tree, dict):
            raise damaged(path, "it is not a JSON object")
        if older:
            raise DataError(
                f"{self.path}: this checkpoint was written by Heed {OLDER_VERSION}; use it with "
                f"heed-classifier=={OLDER_VERSION}, or train again with --force"
            )
        if tree.pop("format", None) != FORMAT:
            raise DataError(
                f"{self.path}: this checkpoint was written by a newer version of Heed; update "
                "Heed, or train again with --force"
            )
        try:
            return TrainingMetadata.from_dict(tree)
        except (ValueError, DataError) as error:
            raise damaged(path, " ".join(str(error).split())) from error

    def tokenizer(self) -> Tokenizer:
        """Return the tokenizer."""
        document = self._read(TOKENIZER)
        try:
            return Tokenizer.from_json(document)
        except Exception as error:  # tokenizers raises a bare Exception
            raise damaged(self.path / TOKENIZER, error) from error

    def dev(self) -> LabelledTexts:
        """Return the dev rows."""
        return read_labelled(self.path / DEV)

    def out_of_scope(self) -> LabelledTexts | None:
        """Return the out-of-scope texts, if there are any."""
        path = self.path / OUT_OF_SCOPE
        return read_texts(path) if path.exists() else None

    def network(self) -> Network:
        """Return the network with the best weights so far.

        Raises:
            DataError: no epoch is finished, or the weights do not fit the metadata.
        """
        best = self.best()
        network = Network(self.metadata().network)
        try:
            network.load_state_dict(best)
        except (TypeError, ValueError, RuntimeError) as error:
            raise damaged(self.path / STATE, error) from error
        return network.eval()

    def initial_embeddings(self) -> Tensor | None:
        """Return the initial token vectors, (V, D), if they are pretrained."""
        if not (self.path / INITIAL_EMBEDDINGS).exists():
            return None
        return read_tensors(self.path / INITIAL_EMBEDDINGS)[0]["embedding"]["weight"]

    def _read(self, name: str) -> str:
        try:
            return (self.path / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(
                f"{self.path}: no checkpoint there ({name} cannot be read); "
                "`heed train DATA --checkpoint DIR` writes one"
            ) from error

    def save(
        self, network: nn.Module, optimizer: torch.optim.Optimizer, state: TrainingState
    ) -> None:
        """Write the weights, the optimizer and the progress."""
        slots = optimizer.state_dict()["state"]
        groups = {
            "network": network.state_dict(),
            "best": state.best,
            "optimizer": {
                f"{parameter}.{name}": tensor
                for parameter, slot in slots.items()
                for name, tensor in slot.items()
            },
        }
        counters = {name: value for name, value in vars(state).items() if name != "best"}
        write_tensors(self._state, groups, counters)
        self._saved_at = time.monotonic()

    def restore(self, network: nn.Module, optimizer: torch.optim.Optimizer) -> TrainingState:
        """Load what `save` wrote into the network and the optimizer, and return the progress.

        Without a saved state, the training was stopped before its first save.
        """
        if not self.started:
            return TrainingState()
        groups, counters = read_tensors(self._state)
        network.load_state_dict(groups["network"])
        slots: dict[int, dict[str, Tensor]] = {}
        for key, tensor in groups.get("optimizer", {}).items():
            parameter, name = key.split(".")
            slots.setdefault(int(parameter), {})[name] = tensor
        optimizer.load_state_dict(
            {"state": slots, "param_groups": optimizer.state_dict()["param_groups"]}
        )
        return TrainingState(**counters, best=groups.get("best", {}))

    def best(self) -> dict[str, Tensor]:
        """Return the best weights so far.

        Raises:
            DataError: no epoch is finished.
        """
        best = read_tensors(self._state)[0].get("best", {}) if self.started else {}
        if not best:
            raise DataError(
                f"{self.path}: no epoch is finished yet; continue with `heed train … --checkpoint "
                f"{self.path} --resume`"
            )
        return best

    def save_teacher_outputs(self, outputs: TeacherOutputs) -> None:
        """Write the teacher's outputs for the texts labelled so far."""
        counters = {"dev_accuracy": outputs.dev_accuracy}
        groups = {"outputs": outputs.to_tensors()}
        write_tensors(self.path / TEACHER_OUTPUTS, groups, counters)
        self._saved_at = time.monotonic()

    def teacher_outputs(self) -> TeacherOutputs | None:
        """Return the teacher's outputs, if any were saved."""
        if not (self.path / TEACHER_OUTPUTS).exists():
            return None
        groups, counters = read_tensors(self.path / TEACHER_OUTPUTS)
        return TeacherOutputs.from_tensors(groups["outputs"], counters["dev_accuracy"])

    def save_ngrams(self, ngrams: NgramModel) -> None:
        """Write the n-gram model."""
        write_tensors(self.path / NGRAMS, {"ngrams": ngrams.state_dict()}, {})

    def ngrams(self) -> NgramModel | None:
        """Return the n-gram model, if one was saved."""
        if not (self.path / NGRAMS).exists():
            return None
        return NgramModel.from_state_dict(read_tensors(self.path / NGRAMS)[0]["ngrams"])


def _to_jsonl(rows: LabelledTexts) -> str:
    pairs = zip(rows.texts, rows.labels, strict=True)
    return "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in pairs)
