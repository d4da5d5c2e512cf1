"""From texts to the sparse matrices that the linear half is fitted to."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from heed.model.nn.ngrams import TAGS, NgramConfig, bucket_index, ngram_key
from heed.model.training.dataset import Dataset

Floats = NDArray[np.float32]
MIN_TEXTS = 3
"""That must have an n-gram of several tokens; of what is rarer nobody knows what it tells."""
NO_OWNER = 255
"""Instead of a tag, which is less: a row that no n-gram owns."""


def subsample(data: Dataset, most: int, seed: int) -> Dataset:
    """Rows drawn at random: one of each class, and more until they have `most` tokens."""
    if len(data.ids) <= most:
        return data
    order = np.random.default_rng(seed).permutation(len(data))
    _, first = np.unique(data.labels[order], return_index=True)
    order = np.concatenate([order[first], np.delete(order, first)])
    rows = np.searchsorted(np.cumsum(data.lengths[order]), most, side="right")
    return data.take(order[: max(rows, len(first))])


@dataclass(frozen=True)
class NgramIndex:
    """Who has a row of the table of `Ngrams`."""

    sizes: NgramConfig
    tokens: NDArray[np.int64]
    """Ids in the order of their rows, padding first: (V',)."""
    owners: NDArray[np.uint8]
    """The tag of the n-gram that owns each of the other rows, or `NO_OWNER`: (K,)."""

    @classmethod
    def of(cls, data: Dataset, sizes: NgramConfig) -> Self:
        """The tokens that are used most, and of all n-grams of one place the one that tells most.

        How much it tells of the label is n_f D_f, see `label_divergence`: half of the statistic of a
        likelihood ratio test (Dunning 1993).
        """
        uses = np.bincount(data.ids, minlength=sizes.vocabulary)
        uses[0] = uses.max() + 1
        tokens = np.sort(np.argsort(-uses, kind="stable")[: sizes.tokens])
        keys = _keys(data, sizes.longest)
        found, times = np.unique(keys, return_counts=True)
        found = found[times >= MIN_TEXTS]
        owners = np.full(sizes.places, NO_OWNER, dtype=np.uint8)
        if len(found):
            columns = np.searchsorted(found, keys).clip(max=len(found) - 1)
            texts, divergence = label_divergence(
                _uses(data, columns, found[columns] == keys, len(found)), data.labels
            )
            enough = texts >= MIN_TEXTS
            best_last = found[enough][np.argsort((texts * divergence)[enough], kind="stable")]
            owners[bucket_index(best_last, sizes.places)] = best_last % TAGS
            owners[bucket_index(0, sizes.places)] = NO_OWNER
        return cls(sizes, tokens, owners)

    @property
    def of_tokens(self) -> NDArray[np.int64]:
        """The row of each token, (V,); of one that has none, 0, that of padding."""
        rows = np.zeros(self.sizes.vocabulary, dtype=np.int64)
        rows[self.tokens] = np.arange(len(self.tokens))
        return rows


def count_features(rows: NgramIndex, data: Dataset) -> sp.csr_matrix:
    """How often who has a row stands in each text, over sqrt(n): (N, V' + K)."""
    keys = _keys(data, rows.sizes.longest)
    places = bucket_index(keys, rows.sizes.places)
    places[rows.owners[places] != keys % TAGS] = 0
    columns = np.concatenate([places, rows.of_tokens[data.ids][:, None]], axis=1)
    stands = columns != 0
    width = len(rows.tokens) + rows.sizes.places
    columns %= width
    return _uses(data, columns, stands, width)


def _keys(data: Dataset, longest: int) -> NDArray[np.int64]:
    """Of the pair, and the triple, that end at each token: (tokens, longest - 1)."""
    ids = data.ids.astype(np.int64)
    before = _shifted(ids, data)
    keys = [ngram_key(before, ids)]
    if longest > 2:
        keys.append(ngram_key(before, ids, _shifted(before, data)))
    return np.stack(keys, axis=1)


def _uses(
    data: Dataset, columns: NDArray[np.int64], counted: NDArray[np.bool_], width: int
) -> sp.csr_matrix:
    """How often each text has each column, over sqrt(n), of those places (tokens, F) that count."""
    share = np.repeat(data.lengths**-0.5, data.lengths).astype(np.float32)
    values = np.broadcast_to(share[:, None], columns.shape)[counted]
    ends = np.cumsum(counted.sum(axis=1))
    starts = np.append(0, ends)[data.starts]
    found = sp.csr_matrix((values, columns[counted], starts), shape=(len(data), width))
    found.sum_duplicates()
    return found


def _shifted(ids: NDArray[np.int64], data: Dataset) -> NDArray[np.int64]:
    """What stands one place before, 0 where a text begins."""
    before = np.roll(ids, 1)
    before[data.starts[:-1]] = 0
    return before


def feature_weights(uses: sp.csr_matrix, labels: NDArray[np.int64], power: float) -> Floats:
    """What each column of uses (N, F) is multiplied by, so that what tells more is learnt sooner.

    idf_f D_f^power, see `label_divergence`, times a number by which rows have the mean square that they have
    with idf alone. idf_f = log((1 + N) / (1 + n_f)) + 1.
    """
    texts, divergence = label_divergence(uses, labels)
    idf = np.log((1 + uses.shape[0]) / (1 + texts)) + 1
    found = idf * divergence**power
    squares = uses.power(2).sum(axis=0).A1
    scaled: Floats = (found * np.sqrt(squares @ idf**2 / (squares @ found**2))).astype(np.float32)
    return scaled


def label_divergence(
    uses: sp.csr_matrix, labels: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """In how many texts each column of uses (N, F) stands, n_f, and what it tells of them, D_f.

    D_f, the Kullback-Leibler divergence of the labels of these texts from those of all, is how much
    it tells of the label (supervised term weighting, Debole and Sebastiani 2003; of two classes
    near the square of the log-count ratio of Wang and Manning 2012). To the n_f one text is added
    for each class, else rare ones would seem to tell most.
    """
    rows, features = uses.shape
    _, labels = np.unique(labels, return_inverse=True)
    share = np.bincount(labels) / rows  # (C,)
    of_class = sp.csr_matrix((np.ones(rows, dtype=np.float32), (labels, np.arange(rows))))
    stands = sp.csr_matrix((np.ones_like(uses.data), uses.indices, uses.indptr), uses.shape)
    met = (of_class @ stands).tocoo()  # (C, F): in how many texts of a class
    texts = np.bincount(met.col, met.data, minlength=features).astype(np.float64)
    # Over its share, a class that a column never meets has what was added to all alike.
    unmet = len(share) / (texts + len(share))  # (F,)
    ratio = unmet[met.col] + met.data / (texts + len(share))[met.col] / share[met.row]
    none = unmet * np.log(unmet)
    more = share[met.row] * (ratio * np.log(ratio) - none[met.col])
    divergence = none + np.bincount(met.col, more, minlength=features)
    return texts, np.maximum(divergence, 1e-9)


def sum_embeddings(data: Dataset, known: Floats) -> Floats:
    """Sums of what each text's tokens mean, over sqrt(n): (N, D)."""
    values = np.repeat(data.lengths**-0.5, data.lengths).astype(np.float32)
    shape = (len(data), len(known))
    sums: Floats = sp.csr_matrix((values, data.ids, data.starts), shape=shape) @ known
    return sums
