"""The table of an n-gram model."""

import pytest

from heed.model.nn.ngrams import MAX_TABLE_NUMBERS, TAGS, NgramConfig


@pytest.mark.parametrize("classes", [2, 3, 7, 150, 5000])
def test_the_table_has_at_most_a_million_numbers(classes: int) -> None:
    config = NgramConfig(30_000, classes)
    assert 0.9 * MAX_TABLE_NUMBERS < config.buckets * (classes + 1) <= MAX_TABLE_NUMBERS
    assert config.buckets % TAGS
    assert config.tokens * classes <= MAX_TABLE_NUMBERS
