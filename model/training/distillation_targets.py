"""What a teacher says of texts, and what the network is to learn from it."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from heed.model.inference.classifier import softmax
from heed.model.training.token_targets import StateProjection, TokenTargets

TEMPERATURE = 2.0
"""Soft labels are softmax(teacher's logits / this): the higher, the more shows of the unlikely."""
OWN_LABEL_SHARE = 0.2
"""Share of a training row's target that is its own label; the rest is the teacher's."""
ROWS_PER_STEP = 1024
"""Of targets, made at once."""


@dataclass(frozen=True)
class TeacherOutputs:
    """What a teacher says of N texts."""

    logits: NDArray[np.float16]  # (N, C)
    token_targets: TokenTargets
    reduction: StateProjection
    """How hints are made of its states."""
    accuracy: float
    """Its own, on dev."""

    @classmethod
    def none(cls, classes: int, reduction: StateProjection, accuracy: float) -> "TeacherOutputs":
        """Of no text yet."""
        width = reduction.directions.shape[1]
        token_targets = TokenTargets(
            np.zeros((0, width), dtype=np.int8), np.zeros(1, dtype=np.int64)
        )
        return cls(np.zeros((0, classes), dtype=np.float16), token_targets, reduction, accuracy)

    def labels(self, own: NDArray[np.int64]) -> NDArray[np.int64]:
        """A label for each text, (N,): its own where it has one, else what the teacher says."""
        labels: NDArray[np.int64] = self.logits.argmax(axis=1)
        labels[: len(own)] = own
        return labels

    def targets(self, own: NDArray[np.int64]) -> NDArray[np.float16]:
        """What the network is to learn, (N, C), each row a distribution.

        The first texts have labels of their own, each worth `OWN_LABEL_SHARE` of its row.
        """
        targets = np.empty_like(self.logits)
        for start in range(0, len(targets), ROWS_PER_STEP):
            rows = softmax(
                self.logits[start : start + ROWS_PER_STEP].astype(np.float64) / TEMPERATURE
            )
            labelled = own[start : start + ROWS_PER_STEP]
            rows[: len(labelled)] *= 1 - OWN_LABEL_SHARE
            rows[np.arange(len(labelled)), labelled] += OWN_LABEL_SHARE
            targets[start : start + ROWS_PER_STEP] = rows
        return targets

    def tensors(self) -> dict[str, Tensor]:
        """All but the accuracy, to be kept."""
        return {
            "logits": torch.from_numpy(self.logits),
            "token_targets": torch.from_numpy(self.token_targets.numbers),
            "starts": torch.from_numpy(self.token_targets.starts),
            "mean": self.reduction.mean,
            "directions": self.reduction.directions,
        }

    @classmethod
    def of(cls, tensors: dict[str, Tensor], accuracy: float) -> "TeacherOutputs":
        """Those whose `tensors` these are."""
        return cls(
            tensors["logits"].numpy(),
            TokenTargets(tensors["token_targets"].numpy(), tensors["starts"].numpy()),
            StateProjection(tensors["mean"], tensors["directions"]),
            accuracy,
        )
