"""Tokenizing by cached chunks gives the same tokens as tokenizing the whole text."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from heed.model.text.token_cache import TokenCache, token_ids, token_spans, word_ids
from tests.text.test_tokenizer import FRAGMENTS, TEXTS, TOKENIZER

SYMBOLS = [
    " ", "  ", *"!?;:().,\"'=-", "!\u0301", "\u200d", "=\u0338", "\u037e", "\xad", "\x01", "a"
]  # fmt: skip


def wordpiece() -> Tokenizer:
    vocabulary = {"[PAD]": 0, "[UNK]": 1} | {word: 2 + n for n, word in enumerate([
        *"abcdefghijklmnopqrstuvwxyz.,!'", *(f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz"),
        "film", "don", "word", "café", "##ing",
    ])}  # fmt: skip
    inner = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    inner.normalizer = normalizers.BertNormalizer(lowercase=True)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return inner


def fitted_bpe() -> Tokenizer:
    return Tokenizer.from_str(TOKENIZER.to_json())


def first_of_word(words: list[int | None]) -> list[bool]:
    """True for each token, after the first, that starts a word."""
    return [a != b for a, b in zip(words[1:], words, strict=False)]


@pytest.mark.parametrize("make", [fitted_bpe, wordpiece])
def test_chunks_give_the_tokens_of_the_whole_text(make: Callable[[], Tokenizer]) -> None:
    inner = make()
    cache = TokenCache(inner)

    @given(TEXTS | st.lists(st.sampled_from(FRAGMENTS + SYMBOLS)).map("".join))
    def check(text: str) -> None:
        whole = inner.encode(text, add_special_tokens=False)
        for _ in range(2):  # the second time from the cache
            chunks = cache.tokenize(text)
            assert token_ids(chunks) == whole.ids
            assert token_spans(chunks) == whole.offsets
            assert first_of_word([*word_ids(chunks)]) == first_of_word(whole.word_ids)

    check()
    assert len(cache.tokenize("a film, a word")) == 4


def test_a_tokenizer_with_spaces_inside_tokens_gets_the_whole_text() -> None:
    byte_level = Tokenizer(models.BPE({"a": 1, "b": 2, "Ġ": 3, "Ġb": 4}, [("Ġ", "b")]))
    byte_level.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    byte_level.decoder = decoders.ByteLevel()
    assert token_ids(TokenCache(byte_level).tokenize("a b b")) == [1, 4, 4]
    whole_text = Tokenizer(models.BPE({"a": 1, "b": 2, " ": 3, "a ": 4}, [("a", " ")]))
    assert token_ids(TokenCache(whole_text).tokenize("a b")) == [4, 2]


def test_a_tokenizer_without_an_unknown_token_can_be_used() -> None:
    inner = Tokenizer(models.WordPiece({"film": 1, "word": 2}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    assert token_ids(TokenCache(inner).tokenize("film word film")) == [1, 2, 1]


def test_the_cache_is_bounded() -> None:
    cache = TokenCache(fitted_bpe(), max_chunks=3)
    text = "a film is a film for all who love films"
    for _ in range(2):
        assert token_ids(cache.tokenize(text)) == TOKENIZER.ids(text)
        assert len(cache) <= 3


def test_long_chunks_are_not_cached() -> None:
    cache = TokenCache(fitted_bpe())
    before = len(cache)
    cache.tokenize("x" * 33)
    assert len(cache) == before
    cache.tokenize("x" * 32)
    assert len(cache) == before + 1
