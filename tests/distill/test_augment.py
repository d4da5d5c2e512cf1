"""Texts that are made of training texts."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heed.model.data.labelled import LabelledTexts
from heed.model.distill.augment import (
    MAX_TEACHER_TOKENS,
    add_pseudo_labelled_texts,
    augment,
    is_long,
    split_sentences,
)
from heed.model.distill.static_vectors import ENGLISH, StaticVectors
from heed.model.distill.synonyms import Synonyms
from heed.model.text.tokenizer import Tokenizer
from tests.support.texts import FOREIGN, reviews

TEXTS = [text for text, _ in reviews(120, 7)]
TOKENIZER = Tokenizer.fit(TEXTS, 1000)


def words(text: str) -> list[str]:
    encoding = TOKENIZER.encode(text, 512)
    spans_of: dict[int, list[tuple[int, int]]] = {}
    for word, span in zip(encoding.words, encoding.spans, strict=True):
        spans_of.setdefault(word, []).append(span)
    return [text[spans[0][0] : spans[-1][1]].casefold() for spans in spans_of.values()]


def test_there_are_thirty_new_texts_per_text_made_of_their_words() -> None:
    made = augment(TEXTS, TOKENIZER, 0)
    assert len(made) == 30 * len(TEXTS)
    known = {word for text in TEXTS for word in words(text)}
    assert {word for text in made for word in words(text)} <= known
    assert len(set(made) - set(TEXTS)) > 5 * len(TEXTS)
    assert augment(TEXTS, TOKENIZER, 0) == made
    assert augment(TEXTS, TOKENIZER, 1) != made


def test_texts_are_thinned_and_cropped() -> None:
    first, second = "我非常喜欢这家酒店", "the room was cold and the bed too short"
    made = augment([first, second], TOKENIZER, 3)
    for number, text in enumerate(made):
        source, kind = (first, second)[number % 2], (number + number // 2) % 3
        remaining = iter(words(source))
        if kind == 1:  # thinned: the words keep their order
            assert all(word in remaining for word in words(text))
        elif kind == 2:  # cropped
            assert text in source


def test_texts_are_crossed_at_a_word_that_both_have() -> None:
    texts = ["wake me at seven", "lunch is at noon today"]
    crossed = {text for seed in range(20) for text in augment(texts, TOKENIZER, seed)[::3]}
    assert {"wake me at noon today", "lunch is at seven"} & crossed


def test_the_number_of_words_is_limited() -> None:
    total = sum(len(words(text)) for text in TEXTS)
    assert len(augment(TEXTS, TOKENIZER, 0, max_words=3 * total)) == 2 * len(TEXTS)
    assert augment(TEXTS, TOKENIZER, 0, max_words=total - 1) == []


def test_long_texts_are_split_into_their_sentences() -> None:
    long = ["The bed was short. Was the room cold?  It was! 房间很冷。床太短！" * 20] * 2
    assert all(is_long(text, TOKENIZER) for text in long)
    made = augment(long, TOKENIZER, 0)
    sentences = {"The bed was short.", "Was the room cold?", "It was!", "房间很冷。", "床太短！"}
    assert set(made) == sentences
    assert len(made) == 2 * 20 * 5
    both = augment([*long, *TEXTS], TOKENIZER, 0)
    assert set(both[: len(made)]) == set(made)
    assert len(both) == len(made) + 30 * len(TEXTS)


def test_the_number_of_words_limits_the_sentences() -> None:
    made = augment(["Nine ten eleven twelve. " * 100], TOKENIZER, 0, max_words=30)
    assert len(made) == 6


def test_sentences_end_at_lines_and_are_not_empty() -> None:
    assert split_sentences(["One<br /><br />two\n\n ... three… 四。"]) == [
        "One",
        "two",
        "three…",
        "四。",
    ]
    assert not is_long("word " * MAX_TEACHER_TOKENS, TOKENIZER)
    assert is_long("word " * (MAX_TEACHER_TOKENS + 1), TOKENIZER)


@given(st.lists(st.text(min_size=1).filter(TOKENIZER.ids), min_size=1, max_size=4))
def test_no_new_text_is_empty(texts: list[str]) -> None:
    for text in augment([*texts, *FOREIGN["positive"]], TOKENIZER, 0):
        assert TOKENIZER.ids(text)


@pytest.fixture(scope="module")
def english() -> StaticVectors:
    return StaticVectors.load(ENGLISH)


@pytest.fixture(scope="module")
def synonyms(english: StaticVectors) -> Synonyms:
    return Synonyms(english.tokenizer, english.vectors)


def test_words_are_replaced_by_words_with_similar_vectors(
    english: StaticVectors, synonyms: Synonyms
) -> None:
    source = "The movie was terrible!"
    random = np.random.default_rng(0)
    encoding = english.tokenizer.encode(source, MAX_TEACHER_TOKENS)
    made = {synonyms.replace_words(source, encoding, random) for _ in range(200)}
    assert source not in made
    assert all(text.endswith("!") and len(text.split()) == 4 for text in made)
    assert {"film", "movies"} <= {text.split()[1] for text in made}
    assert {"horrible!", "awful!"} <= {text.split()[3] for text in made}
    for text in ("$ 5 …", "superfragilistisch"):  # no word that is a single token
        encoding = english.tokenizer.encode(text, MAX_TEACHER_TOKENS)
        assert synonyms.replace_words(text, encoding, random) == text


def test_with_synonyms_most_new_texts_have_new_words(
    english: StaticVectors, synonyms: Synonyms
) -> None:
    made = augment(TEXTS, english.tokenizer, 0, synonyms)
    assert len(made) == 30 * len(TEXTS)
    seen = {word for text in TEXTS for word in english.tokenizer.split(text)}
    new = [text for text in made if not set(english.tokenizer.split(text)) <= seen]
    assert len(new) > 0.5 * len(made)
    assert augment(TEXTS, english.tokenizer, 0, synonyms) == made


def test_unlabelled_texts_are_split_and_not_mixed_with_augmented_ones() -> None:
    labelled = LabelledTexts(Path("a.csv"), TEXTS[:4], ["x", "y"] * 2, range(2, 6))
    long = "The bed was short. Was the room cold? " * 30
    unlabelled = LabelledTexts(Path("b.csv"), ["A short text.", long], ["", ""], [2, 3])
    texts = add_pseudo_labelled_texts(labelled, unlabelled, TOKENIZER, None, 0)
    assert texts.labelled is labelled
    assert texts.unlabelled is not None
    assert len(texts.unlabelled.texts) == 1 + 2 * 30
    assert set(texts.unlabelled.rows[1:]) == {3}
    assert texts.augmented == augment(TEXTS[:4], TOKENIZER, 0)
