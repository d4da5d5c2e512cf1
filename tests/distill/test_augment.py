"""Text that is made of training text."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heed.model.distill import augment as module
from heed.model.distill.augment import MAX_TEACHER_TOKENS, augment, is_long, sentences
from heed.model.distill.static_vectors import ENGLISH, StaticVectors
from heed.model.distill.synonyms import Synonyms
from heed.model.text.tokenizer import Tokenizer
from tests.support.texts import FOREIGN, reviews

TEXTS = [text for text, _ in reviews(120, 7)]
TOKENIZER = Tokenizer.fit(TEXTS, 1000)


def words(text: str) -> list[str]:
    encoding = TOKENIZER.encode(text, 512)
    found: dict[int, list[tuple[int, int]]] = {}
    for word, span in zip(encoding.words, encoding.spans, strict=True):
        found.setdefault(word, []).append(span)
    return [text[spans[0][0] : spans[-1][1]].casefold() for spans in found.values()]


def test_thirty_for_each_made_of_the_words_of_the_texts() -> None:
    made = augment(TEXTS, TOKENIZER, 0)
    assert len(made) == 30 * len(TEXTS)
    known = {word for text in TEXTS for word in words(text)}
    assert {word for text in made for word in words(text)} <= known
    assert len(set(made) - set(TEXTS)) > 5 * len(TEXTS)
    assert augment(TEXTS, TOKENIZER, 0) == made
    assert augment(TEXTS, TOKENIZER, 1) != made


def test_the_three_kinds() -> None:
    first, second = "我非常喜欢这家酒店", "the room was cold and the bed too short"
    made = augment([first, second], TOKENIZER, 3)
    for number, text in enumerate(made):
        source, kind = (first, second)[number % 2], (number + number // 2) % 3
        rest = iter(words(source))
        if kind == 1:
            assert all(word in rest for word in words(text))  # thinned: in their order
        elif kind == 2:
            assert text in source  # cropped


def test_texts_cross_at_a_word_that_both_have() -> None:
    texts = ["wake me at seven", "lunch is at noon today"]
    crossed = {text for seed in range(20) for text in augment(texts, TOKENIZER, seed)[::3]}
    assert {"wake me at noon today", "lunch is at seven"} & crossed


def test_fewer_where_there_are_many_words(monkeypatch: pytest.MonkeyPatch) -> None:
    total = sum(len(words(text)) for text in TEXTS)
    monkeypatch.setattr(module, "MAX_WORDS", 3 * total)
    assert len(augment(TEXTS, TOKENIZER, 0)) == 2 * len(TEXTS)
    monkeypatch.setattr(module, "MAX_WORDS", total - 1)
    assert augment(TEXTS, TOKENIZER, 0) == []


def test_long_texts_give_their_sentences() -> None:
    long = ["The bed was short. Was the room cold?  It was! 房间很冷。床太短！" * 20] * 2
    assert all(is_long(text, TOKENIZER) for text in long)
    made = augment(long, TOKENIZER, 0)
    found = {"The bed was short.", "Was the room cold?", "It was!", "房间很冷。", "床太短！"}
    assert set(made) == found
    assert len(made) == 2 * 20 * 5
    both = augment([*long, *TEXTS], TOKENIZER, 0)
    assert set(both[: len(made)]) == set(made)
    assert len(both) == len(made) + 30 * len(TEXTS)


def test_as_many_sentences_as_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WORDS", 30)
    made = augment(["Nine ten eleven twelve. " * 100], TOKENIZER, 0)
    assert len(made) == 6


def test_sentences_end_where_a_line_does_and_hold_something() -> None:
    assert sentences(["One<br /><br />two\n\n ... three… 四。"]) == ["One", "two", "three…", "四。"]
    assert not is_long("word " * MAX_TEACHER_TOKENS, TOKENIZER)
    assert is_long("word " * (MAX_TEACHER_TOKENS + 1), TOKENIZER)


@given(st.lists(st.text(min_size=1).filter(TOKENIZER.ids), min_size=1, max_size=4))
def test_none_is_empty(texts: list[str]) -> None:
    for text in augment([*texts, *FOREIGN["positive"]], TOKENIZER, 0):
        assert TOKENIZER.ids(text)


def test_words_are_put_in_others_that_stand_near() -> None:
    known = StaticVectors.load(ENGLISH)
    synonyms = Synonyms(known.tokenizer, known.table)
    source = "The movie was terrible!"
    random = np.random.default_rng(0)
    encoding = known.tokenizer.encode(source, MAX_TEACHER_TOKENS)
    made = {synonyms.put(source, encoding, random) for _ in range(200)}
    assert source not in made
    assert all(text.endswith("!") and len(text.split()) == 4 for text in made)
    assert {"film", "movies"} <= {text.split()[1] for text in made}
    assert {"horrible!", "awful!"} <= {text.split()[3] for text in made}
    for text in ("$ 5 …", "superfragilistisch"):  # nothing that stands near, and pieces of a word
        assert synonyms.put(text, known.tokenizer.encode(text, MAX_TEACHER_TOKENS), random) == text


def test_two_thirds_are_in_other_words_where_these_are_known() -> None:
    known = StaticVectors.load(ENGLISH)
    synonyms = Synonyms(known.tokenizer, known.table)
    made = augment(TEXTS, known.tokenizer, 0, synonyms)
    assert len(made) == 30 * len(TEXTS)
    read = {word for text in TEXTS for word in known.tokenizer.split(text)}
    fresh = [text for text in made if not set(known.tokenizer.split(text)) <= read]
    assert len(fresh) > 0.5 * len(made)
    assert augment(TEXTS, known.tokenizer, 0, Synonyms(known.tokenizer, known.table)) == made
