"""Tokenized text for training, in flat arrays: a million texts of 50 tokens take 100 MB."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from heed.model.data.labelled import LabelledTexts, label_ids
from heed.model.errors import DataError, TextError
from heed.model.text.tokenizer import Tokenizer
from heed.model.training.token_targets import TokenTargets

BATCHES_PER_POOL = 50
"""Batches that are sorted by length together: little padding, and still a random order."""


@dataclass(frozen=True)
class Dataset:
    """N texts as token ids, end to end, with their labels."""

    ids: NDArray[np.uint16] | NDArray[np.int32]  # all texts' tokens, one after another
    starts: NDArray[np.int64]  # (N + 1,): text n is ids[starts[n] : starts[n + 1]]
    labels: NDArray[np.int64]  # (N,)
    targets: NDArray[np.float16] | None = None
    """(N, C) what the probabilities ought to be, where a teacher says so; None: the labels."""
    token_targets: TokenTargets | None = None
    """What a teacher makes of the tokens."""

    def __len__(self) -> int:
        """How many texts."""
        return len(self.labels)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each text, shape (N,)."""
        return np.diff(self.starts)

    def cut(self, max_tokens: int) -> "Dataset":
        """The same texts, none longer than `max_tokens`."""
        kept = np.ones(len(self.ids), dtype=np.bool_)  # a byte a token: there may be 100 million
        for text in np.flatnonzero(self.lengths > max_tokens):
            kept[self.starts[text] + max_tokens : self.starts[text + 1]] = False
        starts = np.concatenate([[0], np.cumsum(np.minimum(self.lengths, max_tokens))])
        return replace(self, ids=self.ids[kept], starts=starts)

    def take(self, positions: NDArray[np.int64]) -> "Dataset":
        """Some of the texts, without what a teacher says."""
        lengths = self.lengths[positions]
        starts = np.concatenate([[0], np.cumsum(lengths)])
        place = np.arange(starts[-1]) - np.repeat(starts[:-1], lengths)
        ids = self.ids[np.repeat(self.starts[positions], lengths) + place]
        return Dataset(ids, starts, self.labels[positions])

    def batch(self, positions: Sequence[int] | NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Token ids (B, T), id 0 behind the shorter rows, and labels (B,)."""
        chosen = np.asarray(positions)
        lengths = self.lengths[chosen]
        place = np.arange(lengths.max())
        inside = place < lengths[:, None]
        where = np.where(inside, self.starts[chosen][:, None] + place, 0)
        ids = np.where(inside, self.ids[where], 0).astype(np.int64)
        return torch.from_numpy(ids), torch.from_numpy(self.labels[chosen])

    def wanted(self, positions: Sequence[int] | NDArray[np.int64]) -> Tensor:
        """What the loss compares with: the targets (B, C), or else the labels (B,)."""
        if self.targets is None:
            return torch.from_numpy(self.labels[positions])
        return torch.from_numpy(self.targets[positions].astype(np.float32))

    def epoch(self, size: int, random: np.random.Generator) -> list[NDArray[np.int64]]:
        """All positions in random batches of like length."""
        order = random.permutation(len(self))
        batches: list[NDArray[np.int64]] = []
        for start in range(0, len(order), size * BATCHES_PER_POOL):
            pool = order[start : start + size * BATCHES_PER_POOL]
            pool = pool[np.argsort(self.lengths[pool], kind="stable")]
            batches += [pool[i : i + size] for i in range(0, len(pool), size)]
        return [batches[place] for place in random.permutation(len(batches))]


def tokenize_texts(
    labelled: LabelledTexts, tokenizer: Tokenizer, labels: Sequence[str] | None, max_tokens: int
) -> Dataset:
    """Tokenize every text; with None for the labels each text has label 0.

    Raises:
        DataError: a text has nothing to read in it, or a label is unknown.
    """
    numbers = np.zeros(len(labelled.texts), dtype=np.int64)
    if labels is not None:
        numbers = label_ids(labelled, labels)
    ids = array("H" if tokenizer.vocabulary <= 2**16 else "i")
    starts = array("q", [0])
    for position, text in enumerate(labelled.texts):
        try:
            ids.extend(tokenizer.encode(text, max_tokens).ids)
        except TextError as error:
            where = labelled.where(position)
            raise DataError(f"{where}: the text has nothing to read; take the row out") from error
        starts.append(len(ids))
    return Dataset(np.asarray(ids), np.asarray(starts), numbers)


def concatenate_datasets(first: Dataset, second: Dataset) -> Dataset:
    """The texts of both, without targets."""
    return Dataset(
        np.concatenate([first.ids, second.ids]),
        np.concatenate([first.starts, first.starts[-1] + second.starts[1:]]),
        np.concatenate([first.labels, second.labels]),
    )


def token_dropout_probabilities(
    frequencies: NDArray[np.int64], share: float, rare: float
) -> NDArray[np.float64]:
    """With what probability each token is left out in training, shape (V,).

    p = 1 - (1 - share) f / (f + rare), where f is how often the training text has the token: what
    was seen once or twice is learnt by heart, and so it is shown less (Iyyer et al. 2015 leave out
    words; Kiperwasser and Goldberg 2016 the rare ones more often).
    """
    seen = frequencies / np.maximum(frequencies + rare, 1e-9)
    probability: NDArray[np.float64] = 1 - (1 - share) * seen
    return probability


def sample_kept_tokens(
    ids: Tensor, probability: NDArray[np.float64], random: np.random.Generator
) -> NDArray[np.bool_]:
    """Which tokens stay when some are left out, (B, T): at least one of each row.

    Args:
        ids: (B, T), id 0 is padding.
        probability: (V,), with which each token is left out.
        random: draws which.
    """
    before = ids.numpy()
    kept: NDArray[np.bool_] = (before != 0) & (random.random(before.shape) >= probability[before])
    empty = ~kept.any(axis=1)
    kept[empty] = before[empty] != 0
    return kept


def compact_rows(values: Tensor, kept: NDArray[np.bool_]) -> Tensor:
    """What is kept of each row, moved together, with 0 behind: (B, T, ...) to (B, T', ...)."""
    before, lengths = values.numpy(), kept.sum(axis=1)
    after = np.zeros((len(before), lengths.max(), *before.shape[2:]), dtype=before.dtype)
    after[np.arange(after.shape[1]) < lengths[:, None]] = before[kept]
    return torch.from_numpy(after)
