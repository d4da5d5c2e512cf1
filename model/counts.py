"""From texts to the sparse matrices that the linear half is fitted to."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from model.dataset import Dataset
from model.ngrams import NgramSizes, pair_rows

Floats = NDArray[np.float32]


def draw(data: Dataset, most: int, seed: int) -> Dataset:
    """Rows drawn at random: one of each class, and more until they have `most` tokens."""
    if len(data.ids) <= most:
        return data
    order = np.random.default_rng(seed).permutation(len(data))
    _, first = np.unique(data.labels[order], return_index=True)
    order = np.concatenate([order[first], np.delete(order, first)])
    rows = np.searchsorted(np.cumsum(data.lengths[order]), most, side="right")
    return data.take(order[: max(rows, len(first))])


def most_used(data: Dataset, sizes: NgramSizes) -> NDArray[np.int64]:
    """The tokens that have a row, in the order of their ids; padding is one of them."""
    uses = np.bincount(data.ids, minlength=sizes.vocabulary)
    uses[0] = uses.max() + 1
    return np.sort(np.argsort(-uses, kind="stable")[: sizes.tokens])


def counts(sizes: NgramSizes, data: Dataset) -> sp.csr_matrix:
    """How often each token, pair and triple stands in each text, over sqrt(n): (N, V + K)."""
    ids = data.ids.astype(np.int64)
    before = _shifted(ids, data)
    places = [ids, sizes.vocabulary + pair_rows(before, ids, sizes.pairs)]
    if sizes.longest > 2:
        first = _shifted(before, data)
        places.append(sizes.vocabulary + pair_rows(before, ids, sizes.pairs, first))
    share = np.repeat(data.lengths**-0.5, len(places) * data.lengths).astype(np.float32)
    found = sp.csr_matrix(
        (share, np.stack(places, axis=1).ravel(), len(places) * data.starts),
        shape=(len(data), sizes.vocabulary + sizes.pairs),
    )
    found.sum_duplicates()
    found.eliminate_zeros()
    return found


def _shifted(ids: NDArray[np.int64], data: Dataset) -> NDArray[np.int64]:
    """What stands one place before, 0 where a text begins."""
    before = np.roll(ids, 1)
    before[data.starts[:-1]] = 0
    return before


def meant(data: Dataset, known: Floats) -> Floats:
    """Sums of what each text's tokens mean, over sqrt(n): (N, D)."""
    values = np.repeat(data.lengths**-0.5, data.lengths).astype(np.float32)
    shape = (len(data), len(known))
    sums: Floats = sp.csr_matrix((values, data.ids, data.starts), shape=shape) @ known
    return sums
