"""Encoded rows of random token ids, for tests of the n-gram model."""

import numpy as np
from numpy.typing import NDArray

from heed.model.training.dataset import Dataset

VOCABULARY = 60


def make_rows(rows: int, classes: int, seed: int) -> Dataset:
    """Return texts of 8 tokens, two of which determine the class."""
    random = np.random.default_rng(seed)
    labels: NDArray[np.int64] = np.arange(rows) % classes
    ids = random.integers(1 + classes, VOCABULARY, (rows, 8))
    ids[:, 2] = ids[:, 5] = 1 + labels
    return flat(ids, labels)


def flat(ids: NDArray[np.int64], labels: NDArray[np.int64]) -> Dataset:
    starts = np.arange(len(ids) + 1) * ids.shape[1]
    return Dataset(ids.ravel().astype(np.int32), starts, labels)
