"""What a teacher predicts for texts and tokens, as training targets for the network.

A teacher gives a soft label per text (Hinton et al. 2015) and a vector per token, its hidden state
in context (Romero et al. 2015). A label is one number per text, a hidden state is many numbers per
token. So the network needs much less text to learn the use of words.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from heed.model.inference import softmax

TEMPERATURE = 2.0
"""Soft labels are softmax(teacher logits / temperature). A higher one makes them softer."""
TRUE_LABEL_SHARE = 0.2
"""Share of the true label in the target of a labelled text. The rest is the soft label."""
TEXTS_PER_STEP = 1024
"""Soft labels computed at once, to limit memory."""
MAX_COMPONENTS = 64
"""Maximum size of a token target: the first principal components of the teacher's states."""
CLIP_DEVIATIONS = 8.0
"""The 8-bit range of token targets, in root mean squares."""


@dataclass(frozen=True)
class StateProjection:
    """Projects the teacher's hidden states (..., E) to token targets (..., H) in 8 bits."""

    mean: Tensor  # (E,)
    directions: Tensor  # (E, H); the mean square of a target is (127 / `CLIP_DEVIATIONS`)²

    @classmethod
    def fit(cls, states: Tensor) -> "StateProjection":
        """Return the projection to the first principal components of states (N, E)."""
        mean = states.mean(dim=0)
        centred = states - mean
        variances, directions = torch.linalg.eigh(centred.T @ centred / len(states))
        root = variances[-MAX_COMPONENTS:].mean().clamp(min=1e-12).sqrt()
        return cls(mean, directions[:, -MAX_COMPONENTS:].flip(1) * (127 / CLIP_DEVIATIONS / root))

    def __call__(self, states: Tensor) -> Tensor:
        """Return the token targets (..., H) of states (..., E)."""
        return ((states - self.mean) @ self.directions).round().clamp(-127, 127).to(torch.int8)


@dataclass(frozen=True)
class TokenTargets:
    """Targets for the first tokens of N texts, one text after another. A text may have none."""

    values: NDArray[np.int8]  # (tokens, H)
    starts: NDArray[np.int64]  # (N + 1,): text n has values[starts[n] : starts[n + 1]]

    @property
    def width(self) -> int:
        """H, the size of a token target."""
        return int(self.values.shape[1])

    def batch(self, positions: NDArray[np.int64], tokens: int) -> tuple[Tensor, Tensor]:
        """Return the targets of a batch, (B, T, H) with mean square 1, and their mask (B, T).

        Args:
            positions: (B,) of the texts.
            tokens: T. Targets of later tokens are left out.
        """
        counts = np.minimum(self.starts[positions + 1] - self.starts[positions], tokens)
        offsets = np.arange(tokens)
        mask = offsets < counts[:, None]  # (B, T)
        values = np.zeros((*mask.shape, self.width), dtype=np.float32)
        values[mask] = self.values[(self.starts[positions][:, None] + offsets)[mask]]
        return torch.from_numpy(values * np.float32(CLIP_DEVIATIONS / 127)), torch.from_numpy(mask)


def align_token_targets(
    spans: NDArray[np.int64], teacher_spans: NDArray[np.int64], targets: NDArray[np.int8]
) -> NDArray[np.int8]:
    """Convert targets for the teacher's tokens to targets for the network's tokens of one text.

    The target of a token is the mean over the teacher's tokens that overlap it, or 0 if there is
    none. The result ends with the last token that the teacher read completely.

    Args:
        spans: (T, 2), start and end of each of the network's tokens, ascending.
        teacher_spans: (T', 2), start and end of each of the teacher's tokens.
        targets: (T', H).
    """
    starts, ends = teacher_spans.reshape(-1, 2).T
    first, last = spans[: np.searchsorted(spans[:, 1], ends.max(initial=0), "right")].T
    begin = np.searchsorted(ends, first, "right")
    end = np.maximum(np.searchsorted(starts, last, "left"), begin)
    sums = np.concatenate([np.zeros((1, targets.shape[1])), targets.cumsum(axis=0)])
    means = (sums[end] - sums[begin]) / np.maximum(end - begin, 1)[:, None]
    rounded: NDArray[np.int8] = np.rint(means).astype(np.int8)
    return rounded


@dataclass(frozen=True)
class TeacherOutputs:
    """The outputs of a teacher for N texts."""

    logits: NDArray[np.float16]  # (N, C)
    token_targets: TokenTargets
    projection: StateProjection
    """Projects the teacher's hidden states to token targets."""
    dev_accuracy: float
    """Of the teacher."""

    @classmethod
    def empty(
        cls, classes: int, projection: StateProjection, dev_accuracy: float
    ) -> "TeacherOutputs":
        """Return the outputs for 0 texts."""
        width = projection.directions.shape[1]
        token_targets = TokenTargets(
            np.zeros((0, width), dtype=np.int8), np.zeros(1, dtype=np.int64)
        )
        logits = np.zeros((0, classes), dtype=np.float16)
        return cls(logits, token_targets, projection, dev_accuracy)

    def labels(self, true_labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return a label for each text, (N,): the true one if there is one, or the predicted one.

        Args:
            true_labels: (N,), negative where a text has no label.
        """
        return np.where(true_labels >= 0, true_labels, self.logits.argmax(axis=1))

    def soft_labels(self, true_labels: NDArray[np.int64]) -> NDArray[np.float16]:
        """Return the target probabilities of each text, (N, C).

        Args:
            true_labels: (N,), negative where a text has no label. A true label has
                `TRUE_LABEL_SHARE` of the target.
        """
        targets = np.empty_like(self.logits)
        for start in range(0, len(targets), TEXTS_PER_STEP):
            step = slice(start, start + TEXTS_PER_STEP)
            rows = softmax(self.logits[step].astype(np.float64) / TEMPERATURE)
            labels = true_labels[step]
            labelled = np.flatnonzero(labels >= 0)
            rows[labelled] *= 1 - TRUE_LABEL_SHARE
            rows[labelled, labels[labelled]] += TRUE_LABEL_SHARE
            targets[step] = rows
        return targets

    def to_tensors(self) -> dict[str, Tensor]:
        """Return everything except the accuracy as tensors."""
        return {
            "logits": torch.from_numpy(self.logits),
            "token_targets": torch.from_numpy(self.token_targets.values),
            "starts": torch.from_numpy(self.token_targets.starts),
            "mean": self.projection.mean,
            "directions": self.projection.directions,
        }

    @classmethod
    def from_tensors(cls, tensors: dict[str, Tensor], dev_accuracy: float) -> "TeacherOutputs":
        """Return the outputs that `to_tensors` converted."""
        return cls(
            tensors["logits"].numpy(),
            TokenTargets(tensors["token_targets"].numpy(), tensors["starts"].numpy()),
            StateProjection(tensors["mean"], tensors["directions"]),
            dev_accuracy,
        )
