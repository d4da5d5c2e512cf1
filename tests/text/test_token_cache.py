"""Text read in chunks has the tokens that it has when read whole."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers

from heed.model.text.token_cache import TokenCache, ids_of, spans_of, words_of
from tests.text.test_tokenizer import PIECES, TEXTS, TOKENIZER

SIGNS = [" ", "  ", *"!?;:().,\"'=-", "!\u0301", "\u200d", "=\u0338", "\u037e", "\xad", "\x01", "a"]


def word_pieces() -> Tokenizer:
    vocabulary = {"[PAD]": 0, "[UNK]": 1} | {word: 2 + n for n, word in enumerate([
        *"abcdefghijklmnopqrstuvwxyz.,!'", *(f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz"),
        "film", "don", "word", "café", "##ing",
    ])}  # fmt: skip
    inner = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    inner.normalizer = normalizers.BertNormalizer(lowercase=True)
    inner.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return inner


def learnt() -> Tokenizer:
    return Tokenizer.from_str(TOKENIZER.to_json())


@pytest.mark.parametrize("make", [learnt, word_pieces])
def test_a_tokenizer_that_parts_at_spaces(make: Callable[[], Tokenizer]) -> None:
    inner = make()
    reader = TokenCache(inner)

    @given(TEXTS | st.lists(st.sampled_from(PIECES + SIGNS)).map("".join))
    def alike(text: str) -> None:
        whole = inner.encode(text, add_special_tokens=False)
        for _ in range(2):  # learnt, and known
            found = reader.read(text)
            assert ids_of(found) == whole.ids
            assert spans_of(found) == whole.offsets
            begins = [a != b for a, b in zip(words_of(found)[1:], words_of(found), strict=False)]
            assert begins == [
                a != b for a, b in zip(whole.word_ids[1:], whole.word_ids, strict=False)
            ]

    alike()
    assert len(reader.read("a film, a word")) == 4


def test_a_tokenizer_for_which_a_space_is_part_of_a_word() -> None:
    byte_level = Tokenizer(models.BPE({"a": 1, "b": 2, "Ġ": 3, "Ġb": 4}, [("Ġ", "b")]))
    byte_level.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    byte_level.decoder = decoders.ByteLevel()
    assert ids_of(TokenCache(byte_level).read("a b b")) == [1, 4, 4]
    whole_text = Tokenizer(models.BPE({"a": 1, "b": 2, " ": 3, "a ": 4}, [("a", " ")]))
    assert ids_of(TokenCache(whole_text).read("a b")) == [4, 2]


def test_a_tokenizer_that_cannot_read_everything() -> None:
    inner = Tokenizer(models.WordPiece({"film": 1, "word": 2}, unk_token="[UNK]"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    assert ids_of(TokenCache(inner).read("film word film")) == [1, 2, 1]


def test_it_forgets_before_it_is_full() -> None:
    reader = TokenCache(learnt(), most=3)
    text = "a film is a film for all who love films"
    for _ in range(2):
        assert ids_of(reader.read(text)) == TOKENIZER.ids(text)
        assert len(reader._known) <= 3


def test_a_long_chunk_is_not_remembered() -> None:
    reader = TokenCache(learnt())
    before = len(reader._known)
    reader.read("x" * 33)
    assert len(reader._known) == before
    reader.read("x" * 32)
    assert len(reader._known) == before + 1
