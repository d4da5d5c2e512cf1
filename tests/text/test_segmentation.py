"""Learn and match the words of scripts without spaces."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import normalizers

from heed.model.text.segmentation import MAX_CHARACTERS, learn_words, longest_match
from heed.model.text.tokenizer import Tokenizer

CLAUSES = ["这家酒店的服务真不错", "房间很干净", "早餐不好吃", "酒店的房间不干净", "服务真不错"]
TEXTS = ["，".join([a, b]) + "。" for a in CLAUSES for b in CLAUSES for _ in range(4)]
NFKC = normalizers.NFKC()


def split_words(tokenizer: Tokenizer, text: str) -> list[str]:
    encoding = tokenizer.encode(text, 100)
    spans_by_word: dict[int, list[tuple[int, int]]] = {}
    for word, span in zip(encoding.words, encoding.spans, strict=True):
        spans_by_word.setdefault(word, []).append(span)
    return [text[spans[0][0] : spans[-1][1]] for spans in spans_by_word.values()]


def test_frequent_character_sequences_are_learnt_as_words() -> None:
    words = learn_words(TEXTS, NFKC, 100)
    assert {"酒店", "房间"} <= {word[:2] for word in words}
    assert all(2 <= len(word) <= MAX_CHARACTERS for word in words)
    assert learn_words(TEXTS, NFKC, 100) == words
    assert learn_words(TEXTS, NFKC, 3) == words[:3]
    assert learn_words(["no such script", "酒店"], NFKC, 100) == []


def test_words_cover_the_text_and_are_the_same_after_saving() -> None:
    tokenizer = Tokenizer.fit(TEXTS, 500)
    words = split_words(tokenizer, "酒店的服务真不错，HOTEL很干净。")
    assert "".join(words) == "酒店的服务真不错，HOTEL很干净。"
    assert len(words) < 10
    assert "不错" in "".join(word for word in words if len(word) > 1)
    again = Tokenizer.from_json(tokenizer.to_json())
    assert split_words(again, "酒店的服务真不错，HOTEL很干净。") == words


def test_a_character_outside_every_learnt_word_is_a_word() -> None:
    assert split_words(Tokenizer.fit(TEXTS, 500), "鱼酒店鱼")[0] == "鱼"


@given(
    st.lists(st.text("一丁七不中酒店的ア", min_size=2, max_size=4), min_size=1, unique=True),
    st.text("一丁七不中酒店的ア鱼", max_size=30),
)
def test_the_pattern_matches_the_longest_word_at_each_position(words: list[str], text: str) -> None:
    pattern = re.compile(longest_match(words).replace(r"[\p{Han}\p{Hiragana}\p{Katakana}]", "."))
    expected, position = [], 0
    while position < len(text):
        fits = [word for word in words if text.startswith(word, position)]
        expected.append(max(fits, key=len, default=text[position]))
        position += len(expected[-1])
    assert pattern.findall(text) == expected


@pytest.mark.parametrize("count", [5, 400])
def test_the_pattern_of_many_words_is_not_deeply_nested(count: int) -> None:
    pattern = longest_match([chr(0x4E00 + n) + "店" for n in range(count)])
    depth = deepest = 0
    for character in pattern:
        depth += (character == "(") - (character == ")")
        deepest = max(deepest, depth)
    assert deepest < 20
