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


def worth(uses: sp.csr_matrix, labels: NDArray[np.int64], power: float) -> Floats:
    """What each column of uses (N, F) is multiplied by, so that what tells more is learnt sooner.

    idf_f D_f^power, times a number by which rows have the mean square that they have with idf
    alone. idf_f = log((1 + N) / (1 + n_f)) + 1 for what stands in n_f of N texts. D_f, the
    Kullback-Leibler divergence of the labels of these texts from those of all, is how much it tells
    of the label (supervised term weighting, Debole and Sebastiani 2003; of two classes near the
    square of the log-count ratio of Wang and Manning 2012). To the n_f one text is added for each
    class, else rare ones would seem to tell most.
    """
    rows, features = uses.shape
    _, labels = np.unique(labels, return_inverse=True)
    share = np.bincount(labels) / rows  # (C,)
    of_class = sp.csr_matrix((np.ones(rows, dtype=np.float32), (labels, np.arange(rows))))
    stands = sp.csr_matrix((np.ones_like(uses.data), uses.indices, uses.indptr), uses.shape)
    met = (of_class @ stands).tocoo()  # (C, F): in how many texts of a class
    texts = np.bincount(met.col, met.data, minlength=features)
    # Over its share, a class that a column never meets has what was added to all alike.
    unmet = len(share) / (texts + len(share))  # (F,)
    ratio = unmet[met.col] + met.data / (texts + len(share))[met.col] / share[met.row]
    none = unmet * np.log(unmet)
    more = share[met.row] * (ratio * np.log(ratio) - none[met.col])
    divergence = none + np.bincount(met.col, more, minlength=features)
    idf = np.log((1 + rows) / (1 + texts)) + 1
    found = idf * divergence.clip(min=1e-9) ** power
    squares = uses.power(2).sum(axis=0).A1
    scaled: Floats = (found * np.sqrt(squares @ idf**2 / (squares @ found**2))).astype(np.float32)
    return scaled


def meant(data: Dataset, known: Floats) -> Floats:
    """Sums of what each text's tokens mean, over sqrt(n): (N, D)."""
    values = np.repeat(data.lengths**-0.5, data.lengths).astype(np.float32)
    shape = (len(data), len(known))
    sums: Floats = sp.csr_matrix((values, data.ids, data.starts), shape=shape) @ known
    return sums
