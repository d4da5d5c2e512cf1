"""Where training stands, in a folder: enough to go on after a kill, and to export.

| file | content |
|---|---|
| `job.json` | labels, sizes, schedule, where the data came from |
| `tokenizer.json` | as in the bundle |
| `start.safetensors` | what its tokens mean beforehand, if that is known |
| `dev.jsonl` | the dev rows, which export calibrates and checks with |
| `out_of_scope.jsonl` | texts of no label, if there are some |
| `state.safetensors` | weights, optimizer, best weights; the counters as JSON in its metadata |
| `ngrams.safetensors` | the linear half |
| `teacher.safetensors` | the same of the encoder that teaches, if there is one |
| `lessons.safetensors` | what it says of every text and its tokens |

Nothing is a pickle. Each file is written beside its place and renamed (`model/stored.py`), so that
a kill at any moment leaves the old one or the new one. No random state is kept: each update draws
its random numbers from the seed and its own number.
"""

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from heed.model.errors import DataError
from heed.model.nn.network import Network, NetworkConfig
from heed.model.nn.ngrams import NgramModel
from heed.model.paths import cannot_write
from heed.model.text.tokenizer import Tokenizer
from heed.model.training.distillation_targets import TeacherOutputs
from heed.model.training.tensor_files import damaged, read_tensors, write_tensors, write_text

METADATA, TOKENIZER, DEV, STATE = "job.json", "tokenizer.json", "dev.jsonl", "state.safetensors"
OUT_OF_SCOPE = "out_of_scope.jsonl"
INITIAL_EMBEDDINGS, NGRAMS = "start.safetensors", "ngrams.safetensors"
TEACHER, TEACHER_OUTPUTS = "teacher.safetensors", "lessons.safetensors"
JOB_FIELDS = {"name", "version", "labels", "config", "network", "training", "data"}
SECONDS_BETWEEN_SAVES = 30.0
FORMAT = 6
"""Of the folder; changes when an older one cannot be gone on from."""


@dataclass
class TrainingState:
    """How far training has come."""

    epoch: int = 0
    """Epochs that are finished."""
    batch: int = 0
    """Batches of the running epoch that are done."""
    loss: float = 0.0
    """Sum of their losses."""
    best_epoch: int = 0
    """The epoch that the best weights are from, the first is 1; 0 before any."""
    best_score: float = -1.0
    """Dev accuracy of that epoch."""
    best_loss: float = float("inf")
    """Dev loss of that epoch, which decides between equal accuracies."""
    best: dict[str, Tensor] = field(default_factory=dict)
    """The weights of that epoch."""


class Checkpoint:
    """A checkpoint folder."""

    def __init__(self, path: Path, state: str = STATE) -> None:
        """Look at a folder; `state` is the file that `save` writes and `restore` reads."""
        self.path = path
        self._state = path / state
        self._saved = time.monotonic()

    def of_teacher(self) -> "Checkpoint":
        """The same folder, with where the teacher's training stands."""
        return Checkpoint(self.path, TEACHER)

    @property
    def exists(self) -> bool:
        """Whether there is something to go on from."""
        return (self.path / METADATA).exists()

    @property
    def started(self) -> bool:
        """Whether a training was saved, so that it needs nothing to start from."""
        return self._state.exists()

    def begin(self, job: dict[str, Any], tokenizer: str, dev: str, table: Tensor | None) -> None:
        """Write what training needs to go on, `job.json` last: with it the rest is there."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for name in (METADATA, STATE, INITIAL_EMBEDDINGS, NGRAMS, TEACHER, TEACHER_OUTPUTS):
                (self.path / name).unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        if table is not None:
            write_tensors(self.path / INITIAL_EMBEDDINGS, {"start": {"table": table}}, {})
        write_text(self.path / TOKENIZER, tokenizer)
        write_text(self.path / DEV, dev)
        self.amend(job)

    def amend(self, job: dict[str, Any]) -> None:
        """Write the job once more, when more is known of it."""
        write_text(self.path / METADATA, json.dumps(job, indent=2))

    def keep_out_of_scope(self, texts: str | None) -> None:
        """Write the texts of no label, or see that there are none."""
        if texts is None:
            (self.path / OUT_OF_SCOPE).unlink(missing_ok=True)
        else:
            write_text(self.path / OUT_OF_SCOPE, texts)

    def job(self) -> dict[str, Any]:
        """What `begin` was given."""
        try:
            tree = json.loads(self._read(METADATA))
        except (ValueError, RecursionError) as error:
            raise damaged(self.path / METADATA, error) from error
        if not isinstance(tree, dict):
            raise damaged(self.path / METADATA, "it is no JSON object")
        if tree.get("format") != FORMAT:
            raise DataError(
                f"{self.path}: a checkpoint of another version of Heed; use it with that version, "
                "or train anew"
            )
        if missing := JOB_FIELDS - tree.keys():
            raise damaged(self.path / METADATA, f"it lacks {min(missing)!r}")
        return tree

    def tokenizer(self) -> Tokenizer:
        """The tokenizer that `begin` was given."""
        document = self._read(TOKENIZER)
        try:
            return Tokenizer.from_json(document)
        except Exception as error:  # the library raises a bare Exception
            raise damaged(self.path / TOKENIZER, error) from error

    def network(self) -> Network:
        """The network with the best weights so far.

        Raises:
            DataError: no epoch was finished yet, or the weights are of another network.
        """
        best = self.best()
        try:
            network = Network(NetworkConfig(**self.job()["network"]))
            network.load_state_dict(best)
        except (TypeError, ValueError, RuntimeError) as error:
            raise damaged(self.path / STATE, error) from error
        return network.eval()

    def table(self) -> Tensor | None:
        """What the tokens mean beforehand, (V, D), if `begin` was told."""
        if not (self.path / INITIAL_EMBEDDINGS).exists():
            return None
        return read_tensors(self.path / INITIAL_EMBEDDINGS)[0]["start"]["table"]

    def _read(self, name: str) -> str:
        try:
            return (self.path / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(
                f"{self.path}: no checkpoint there ({name} cannot be read); "
                "`heed train DATA --checkpoint DIR` makes one"
            ) from error

    def save(
        self, network: nn.Module, optimizer: torch.optim.Optimizer, state: TrainingState
    ) -> None:
        """Write where training stands."""
        slots = optimizer.state_dict()["state"]
        parts = {
            "network": network.state_dict(),
            "best": state.best,
            "optimizer": {
                f"{n}.{name}": t for n, slot in slots.items() for name, t in slot.items()
            },
        }
        counters = {name: value for name, value in vars(state).items() if name != "best"}
        write_tensors(self._state, parts, counters)
        self._saved = time.monotonic()

    def save_lessons(self, teacher_outputs: TeacherOutputs) -> None:
        """Write what the teacher says of the texts so far."""
        parts = {"lessons": teacher_outputs.tensors()}
        write_tensors(self.path / TEACHER_OUTPUTS, parts, {"accuracy": teacher_outputs.accuracy})
        self._saved = time.monotonic()

    def teacher_outputs(self) -> TeacherOutputs | None:
        """What the last `save_lessons` was given, if there was one."""
        if not (self.path / TEACHER_OUTPUTS).exists():
            return None
        parts, counters = read_tensors(self.path / TEACHER_OUTPUTS)
        return TeacherOutputs.of(parts["lessons"], counters["accuracy"])

    def save_ngrams(self, ngrams: NgramModel) -> None:
        """Write the linear half."""
        write_tensors(self.path / NGRAMS, {"ngrams": ngrams.state_dict()}, {})

    def ngrams(self) -> NgramModel | None:
        """What the last `save_ngrams` was given, if there was one."""
        if not (self.path / NGRAMS).exists():
            return None
        return NgramModel.of(read_tensors(self.path / NGRAMS)[0]["ngrams"])

    @property
    def due(self) -> bool:
        """Whether the last save is long enough ago."""
        return time.monotonic() - self._saved > SECONDS_BETWEEN_SAVES

    def restore(self, network: nn.Module, optimizer: torch.optim.Optimizer) -> TrainingState:
        """Put weights and optimizer back where the last save found them.

        A folder without a saved state is one whose training was stopped before its first save.
        """
        if not self.started:
            return TrainingState()
        parts, counters = read_tensors(self._state)
        network.load_state_dict(parts["network"])
        slots: dict[int, dict[str, Tensor]] = {}
        for key, tensor in parts.get("optimizer", {}).items():
            number, name = key.split(".")
            slots.setdefault(int(number), {})[name] = tensor
        optimizer.load_state_dict(
            {"state": slots, "param_groups": optimizer.state_dict()["param_groups"]}
        )
        return TrainingState(**counters, best=parts.get("best", {}))

    def best(self) -> dict[str, Tensor]:
        """The best weights so far.

        Raises:
            DataError: no epoch was finished yet.
        """
        best = read_tensors(self._state)[0].get("best", {}) if self.started else {}
        if not best:
            raise DataError(
                f"{self.path}: no epoch was finished yet; go on with `heed train … --checkpoint "
                f"{self.path} --resume`"
            )
        return best
