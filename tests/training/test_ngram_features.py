"""N-gram counts: sampled rows, feature weights and the owners of buckets."""

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


def test_a_sample_has_every_class() -> None:
    """The 300 texts have 8 tokens each; two of them have the second class."""
    data = make_rows(300, 2, 0)
    data.labels[:] = 0
    data.labels[[7, 200]] = 1
    for seed in range(5):
        assert set(subsample(data, 12, seed).labels.tolist()) == {0, 1}
        sample = subsample(data, 400, seed)
        assert set(sample.labels.tolist()) == {0, 1}
        assert len(sample.ids) == 400
    assert subsample(data, 2400, 0) is data


def test_informative_features_weigh_more() -> None:
    """Features: in every text, in half of each class, in one class only, in one text only."""
    labels: NDArray[np.int64] = np.arange(400) % 2
    counts = np.zeros((400, 4), dtype=np.float32)
    counts[:, 0] = 1
    counts[:200, 1] = 1
    counts[labels == 1, 2] = 2
    counts[7, 3] = 1
    weights = feature_weights(sp.csr_matrix(counts), labels, 0.25)
    idf = np.log(401 / (1 + np.array([400, 200, 200, 1]))) + 1
    q = np.array([201, 1]) / 202  # with one more text of each class
    divergence = np.array(
        [1e-9, 1e-9, q @ np.log(q / 0.5), 2 / 3 * np.log(4 / 3) + 1 / 3 * np.log(2 / 3)]
    )
    expected = idf * divergence**0.25
    np.testing.assert_allclose(weights / weights[2], expected / expected[2], rtol=1e-4)
    np.testing.assert_allclose(
        ((counts * weights) ** 2).sum(), ((counts * idf) ** 2).sum(), rtol=1e-5
    )


def colliding_ngrams(rows: int, config: NgramConfig) -> tuple[Dataset, list[int]]:
    """Texts of two tokens, and the keys of an informative, a colliding and a rare n-gram."""
    informative = 10, 20
    bucket = bucket_index(ngram_key(*informative), config.buckets)
    colliding = next(
        (30, last)
        for last in range(40, 300)
        if bucket_index(ngram_key(30, last), config.buckets) == bucket
    )
    labels = np.arange(rows) % 2
    ids = np.where((labels == 0)[:, None], informative, (310, 311))
    ids[: rows // 2] = colliding
    for rare in range(3):
        ids[-2 - 2 * rare : len(ids) - 2 * rare] = 320 + rare
    keys = [ngram_key(*informative), ngram_key(*colliding), ngram_key(320, 320)]
    return flat(ids, labels), keys


def test_a_bucket_belongs_to_its_most_informative_ngram() -> None:
    config = NgramConfig(400, 50_000)
    data, (informative, colliding, rare) = colliding_ngrams(80, config)
    index = NgramIndex.build(data, config)
    bucket = bucket_index(informative, config.buckets)
    assert bucket == bucket_index(colliding, config.buckets)
    assert index.tags[bucket] == informative % TAGS
    assert index.tags[bucket_index(rare, config.buckets)] == NO_OWNER
    counts = count_features(index, data).toarray()
    expected = (data.labels == 0) & (np.arange(80) >= 40) & (np.arange(80) < 74)
    np.testing.assert_allclose(counts[:, bucket], expected * 2**-0.5, rtol=1e-6)
