"""What a teacher makes of each token in its context, as hints for the network (Romero et al. 2015).

A label is one number of a text; a hint is many of each token. The network's own idea of a token in
its context is drawn to them, and so it learns to read from far less text.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MAX_COMPONENTS = 64
"""Of a hint, at most: the first principal components of the teacher's states."""
CLIP_DEVIATIONS = 8.0
"""What an 8-bit number reaches to, in root mean squares of all."""


@dataclass(frozen=True)
class StateProjection:
    """From a teacher's states (…, E) to hints (…, H) in 8 bits."""

    mean: Tensor  # (E,)
    directions: (
        Tensor  # (E, H), scaled so that the mean square of a hint is (127 / `CLIP_DEVIATIONS`)²
    )

    @classmethod
    def fit(cls, states: Tensor) -> "StateProjection":
        """The first principal components of states (N, E)."""
        mean = states.mean(dim=0)
        apart = states - mean
        variances, directions = torch.linalg.eigh(apart.T @ apart / len(states))
        root = variances[-MAX_COMPONENTS:].mean().clamp(min=1e-12).sqrt()
        return cls(mean, directions[:, -MAX_COMPONENTS:].flip(1) * (127 / CLIP_DEVIATIONS / root))

    def __call__(self, states: Tensor) -> Tensor:
        """States (…, E) to hints (…, H)."""
        return ((states - self.mean) @ self.directions).round().clamp(-127, 127).to(torch.int8)


@dataclass(frozen=True)
class TokenTargets:
    """Hints for the first tokens of N texts, end to end; some texts have none."""

    numbers: NDArray[np.int8]  # (tokens, H)
    starts: NDArray[np.int64]  # (N + 1,): text n has numbers[starts[n] : starts[n + 1]]

    @property
    def width(self) -> int:
        """H, the numbers of a hint."""
        return int(self.numbers.shape[1])

    def batch(self, positions: NDArray[np.int64], tokens: int) -> tuple[Tensor, Tensor]:
        """The hints of some texts, (B, T, H) with mean square 1, and where there are some, (B, T).

        Args:
            positions: (B,) of the texts.
            tokens: T, at least what the longest of them has; more hints than that are left out.
        """
        counts = np.minimum(self.starts[positions + 1] - self.starts[positions], tokens)
        place = np.arange(tokens)
        given = place < counts[:, None]  # (B, T)
        found = np.zeros((*given.shape, self.width), dtype=np.float32)
        found[given] = self.numbers[(self.starts[positions][:, None] + place)[given]]
        return torch.from_numpy(found * np.float32(CLIP_DEVIATIONS / 127)), torch.from_numpy(given)


def align_token_targets(
    ours: NDArray[np.int64], theirs: NDArray[np.int64], token_targets: NDArray[np.int8]
) -> NDArray[np.int8]:
    """Hints for the tokens of one tokenizer from those for another's, of the same text.

    Each is the mean over the tokens that overlap it, or 0, which tells nothing, where none does.
    There are as many as there are tokens before the place where the other one stopped reading.

    Args:
        ours: (T, 2), start and end of each token, ascending.
        theirs: (T', 2), the same of the tokens that there are hints for.
        hints: (T', H).
    """
    starts, ends = theirs.reshape(-1, 2).T
    first, last = ours[: np.searchsorted(ours[:, 1], ends.max(initial=0), "right")].T
    begin = np.searchsorted(ends, first, "right")
    end = np.maximum(np.searchsorted(starts, last, "left"), begin)
    sums = np.concatenate([np.zeros((1, token_targets.shape[1])), token_targets.cumsum(axis=0)])
    means = (sums[end] - sums[begin]) / np.maximum(end - begin, 1)[:, None]
    rounded: NDArray[np.int8] = np.rint(means).astype(np.int8)
    return rounded
