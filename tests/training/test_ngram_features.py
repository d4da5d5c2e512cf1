"""What the linear half is fitted to: which rows are taken, who has a row, what it is worth."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from heed.model.nn.ngrams import TAGS, NgramConfig, bucket_index, ngram_key
from heed.model.training.dataset import Dataset
from heed.model.training.ngram_features import (
    NO_OWNER,
    NgramIndex,
    count_features,
    feature_weights,
    subsample,
)
from tests.support.made_rows import flat, make_rows


def test_a_drawn_part_has_every_class() -> None:
    """Of 300 rows of 8 tokens, 12 tokens: one row of each of two classes, though one has two."""
    data = make_rows(300, 2, 0)
    data.labels[:] = 0
    data.labels[[7, 200]] = 1
    for seed in range(5):
        assert set(subsample(data, 12, seed).labels.tolist()) == {0, 1}
        some = subsample(data, 400, seed)
        assert set(some.labels.tolist()) == {0, 1}
        assert len(some.ids) == 400
    assert subsample(data, 2400, 0) is data


def test_what_tells_of_the_label_is_worth_more() -> None:
    """Of 400 rows: one column in each, one in half of each class, one in a class, one in a row."""
    labels: NDArray[np.int64] = np.arange(400) % 2
    uses = np.zeros((400, 4), dtype=np.float32)
    uses[:, 0] = 1
    uses[:200, 1] = 1
    uses[labels == 1, 2] = 2
    uses[7, 3] = 1
    found = feature_weights(sp.csr_matrix(uses), labels, 0.25)
    idf = np.log(401 / (1 + np.array([400, 200, 200, 1]))) + 1
    q = np.array([201, 1]) / 202  # with a text of each class
    divergence = np.array(
        [1e-9, 1e-9, q @ np.log(q / 0.5), 2 / 3 * np.log(4 / 3) + 1 / 3 * np.log(2 / 3)]
    )
    by_hand = idf * divergence**0.25
    np.testing.assert_allclose(found / found[2], by_hand / by_hand[2], rtol=1e-4)
    np.testing.assert_allclose(((uses * found) ** 2).sum(), ((uses * idf) ** 2).sum(), rtol=1e-5)


def two_ngrams(rows: int, sizes: NgramConfig) -> tuple[Dataset, list[int]]:
    """Texts of two tokens and the keys of two n-grams that have one place between them.

    The first tells the label of the texts that it is in, the second does not; 3 others stand in two
    texts each.
    """
    telling = 10, 20
    place = bucket_index(ngram_key(*telling), sizes.places)
    other = next(
        (30, own)
        for own in range(40, 300)
        if bucket_index(ngram_key(30, own), sizes.places) == place
    )
    labels = np.arange(rows) % 2
    ids = np.where((labels == 0)[:, None], telling, (310, 311))
    ids[: rows // 2] = other
    for rare in range(3):
        ids[-2 - 2 * rare : len(ids) - 2 * rare] = 320 + rare
    return flat(ids, labels), [ngram_key(*telling), ngram_key(*other), ngram_key(320, 320)]


def test_a_row_belongs_to_whoever_tells_most() -> None:
    sizes = NgramConfig(400, 50_000)
    data, (telling, other, rare) = two_ngrams(80, sizes)
    rows = NgramIndex.of(data, sizes)
    place = bucket_index(telling, sizes.places)
    assert place == bucket_index(other, sizes.places)
    assert rows.owners[place] == telling % TAGS
    assert rows.owners[bucket_index(rare, sizes.places)] == NO_OWNER
    uses = count_features(rows, data).toarray()
    stands = (data.labels == 0) & (np.arange(80) >= 40) & (np.arange(80) < 74)
    np.testing.assert_allclose(uses[:, place], stands * 2**-0.5, rtol=1e-6)
