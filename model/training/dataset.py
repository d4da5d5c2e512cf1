"""Tokenized texts for training, in flat arrays: a million texts of 50 tokens take 100 MB."""

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from heed.model.data import LabelledTexts, label_ids
from heed.model.errors import DataError, TextError
from heed.model.text import Tokenizer
from heed.model.training.distillation_targets import TokenTargets

BATCHES_PER_POOL = 50
"""Batches that are sorted by length together: little padding, and still a random order."""
NO_LABEL = -1
"""Label of a text that has no label of its own."""


@dataclass(frozen=True)
class Dataset:
    """N tokenized texts with their labels."""

    ids: NDArray[np.uint16] | NDArray[np.int32]  # token ids of all texts, one after another
    starts: NDArray[np.int64]  # (N + 1,): text n is ids[starts[n] : starts[n + 1]]
    labels: NDArray[np.int64]  # (N,) index of the label, or `NO_LABEL`
    soft_labels: NDArray[np.float16] | None = None
    """(N, C) target probabilities; None: train on the labels."""
    token_targets: TokenTargets | None = None
    """Token-level distillation targets."""

    def __len__(self) -> int:
        """Return the number of texts."""
        return len(self.labels)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Number of tokens of each text, shape (N,)."""
        return np.diff(self.starts)

    def token_ids(self) -> list[list[int]]:
        """Return the token ids of each text."""
        return [ids.tolist() for ids in np.split(self.ids, self.starts[1:-1])]

    def cut(self, max_tokens: int) -> "Dataset":
        """Return the texts cut to at most `max_tokens` tokens."""
        kept = np.ones(len(self.ids), dtype=np.bool_)  # a byte per token: there may be 100 million
        for text in np.flatnonzero(self.lengths > max_tokens):
            kept[self.starts[text] + max_tokens : self.starts[text + 1]] = False
        starts = np.concatenate([[0], np.cumsum(np.minimum(self.lengths, max_tokens))])
        return replace(self, ids=self.ids[kept], starts=starts)

    def take(self, positions: NDArray[np.int64]) -> "Dataset":
        """Return some of the texts, without distillation targets."""
        lengths = self.lengths[positions]
        starts = np.concatenate([[0], np.cumsum(lengths)])
        offsets = np.arange(starts[-1]) - np.repeat(starts[:-1], lengths)
        ids = self.ids[np.repeat(self.starts[positions], lengths) + offsets]
        return Dataset(ids, starts, self.labels[positions])

    def batch(self, positions: Sequence[int] | NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """Return token ids (B, T), shorter texts padded with id 0, and labels (B,)."""
        texts = np.asarray(positions)
        lengths = self.lengths[texts]
        offsets = np.arange(lengths.max())
        inside = offsets < lengths[:, None]
        indices = np.where(inside, self.starts[texts][:, None] + offsets, 0)
        ids = np.where(inside, self.ids[indices], 0).astype(np.int64)
        return torch.from_numpy(ids), torch.from_numpy(self.labels[texts])

    def targets(self, positions: Sequence[int] | NDArray[np.int64]) -> Tensor:
        """Return the targets of the loss: soft labels (B, C) if there are any, or labels (B,)."""
        if self.soft_labels is None:
            return torch.from_numpy(self.labels[positions])
        return torch.from_numpy(self.soft_labels[positions].astype(np.float32))

    def epoch(self, size: int, random: np.random.Generator) -> list[NDArray[np.int64]]:
        """Return all positions in random batches of texts with similar lengths."""
        order = random.permutation(len(self))
        batches: list[NDArray[np.int64]] = []
        for start in range(0, len(order), size * BATCHES_PER_POOL):
            pool = order[start : start + size * BATCHES_PER_POOL]
            pool = pool[np.argsort(self.lengths[pool], kind="stable")]
            batches += [pool[i : i + size] for i in range(0, len(pool), size)]
        return [batches[index] for index in random.permutation(len(batches))]


def tokenize_rows(
    rows: LabelledTexts, tokenizer: Tokenizer, labels: Sequence[str] | None, max_tokens: int
) -> Dataset:
    """Tokenize the rows of a file.

    Args:
        rows: the rows.
        tokenizer: of the network.
        labels: in the order of the network's outputs; None: every row gets `NO_LABEL`.
        max_tokens: where texts are cut.

    Raises:
        DataError: a text has no token, or a label is unknown.
    """
    numbers = None if labels is None else label_ids(rows, labels)
    return _tokenize(rows.texts, tokenizer, numbers, max_tokens, rows.where)


def tokenize_texts(texts: Sequence[str], tokenizer: Tokenizer, max_tokens: int) -> Dataset:
    """Tokenize texts without labels and without a file.

    Raises:
        DataError: a text has no token.
    """
    return _tokenize(texts, tokenizer, None, max_tokens, lambda index: f"text {index + 1}")


def _tokenize(
    texts: Sequence[str],
    tokenizer: Tokenizer,
    labels: NDArray[np.int64] | None,
    max_tokens: int,
    where: Callable[[int], str],
) -> Dataset:
    ids = array("H" if tokenizer.vocabulary <= 2**16 else "i")
    starts = array("q", [0])
    for index, text in enumerate(texts):
        try:
            ids.extend(tokenizer.encode(text, max_tokens).ids)
        except TextError as error:
            raise DataError(
                f"{where(index)}: the text contains no token; remove the row"
            ) from error
        starts.append(len(ids))
    if labels is None:
        labels = np.full(len(texts), NO_LABEL, dtype=np.int64)
    return Dataset(np.asarray(ids), np.asarray(starts), labels)


def token_dropout_probabilities(
    frequencies: NDArray[np.int64], share: float, rare: float
) -> NDArray[np.float64]:
    """Return the probability that word dropout removes each token, shape (V,).

    p = 1 - (1 - share) f / (f + rare), where f is the frequency of the token in the training texts.
    Networks overfit tokens that occur once or twice, so these are removed more often (Iyyer et al.
    2015; for rare words Kiperwasser and Goldberg 2016).
    """
    kept = frequencies / np.maximum(frequencies + rare, 1e-9)
    probabilities: NDArray[np.float64] = 1 - (1 - share) * kept
    return probabilities


def sample_kept_tokens(
    ids: Tensor, probabilities: NDArray[np.float64], random: np.random.Generator
) -> NDArray[np.bool_]:
    """Draw the tokens that word dropout keeps, shape (B, T).

    A text whose tokens would all be removed keeps all of them.

    Args:
        ids: (B, T), id 0 is padding.
        probabilities: (V,), see `token_dropout_probabilities`.
        random: the random generator.
    """
    before = ids.numpy()
    kept: NDArray[np.bool_] = (before != 0) & (random.random(before.shape) >= probabilities[before])
    empty = ~kept.any(axis=1)
    kept[empty] = before[empty] != 0
    return kept


def compact_rows(values: Tensor, kept: NDArray[np.bool_]) -> Tensor:
    """Move the kept values of each row to its front and pad with 0: (B, T, ...) to (B, T', ...)."""
    before, lengths = values.numpy(), kept.sum(axis=1)
    after = np.zeros((len(before), lengths.max(), *before.shape[2:]), dtype=before.dtype)
    after[np.arange(after.shape[1]) < lengths[:, None]] = before[kept]
    return torch.from_numpy(after)
