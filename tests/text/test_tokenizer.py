"""Ids, spans and truncation of the tokenizer, on text of every script."""

import subprocess
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heed.model.errors import TextError
from heed.model.text.tokenizer import Tokenizer, length_batches, pad
from tests.support.command import ROOT
from tests.support.texts import reviews

TOKENIZER = Tokenizer.fit([text for text, _ in reviews(300, seed=1)], 1000)
FRAGMENTS = [
    "a film", "FILM", "don't", "这家酒店", "ﬁn", "㎏", "İ", "e\u0301",
    "é", "👩‍👩‍👧‍👦", "👍🏽", "שלום", "مرحبا", "\u0301", "\u200d", "\0",
    "\u202e", "[PAD]", "[UNK]", " ", "\n", "3.14", "…", "한국어",
    "カタカナ", "\ufeff", "ｆｕｌｌ", "Ω̣̈", "\U0001f1ec\U0001f1e7",
    "x" * 50,
]  # fmt: skip
TEXTS = st.one_of(
    st.text(alphabet=st.characters(exclude_categories=["Cs"])),
    st.lists(st.sampled_from(FRAGMENTS)).map("".join),
)


@given(TEXTS)
def test_spans_are_slices_of_the_text_as_sent(text: str) -> None:
    try:
        encoding = TOKENIZER.encode(text, 64)
    except TextError:
        assert all(unicodedata.category(c)[0] in "ZCM" for c in text)
        return
    assert len(encoding.ids) == len(encoding.spans) == len(encoding.words) <= 64
    assert 0 not in encoding.ids
    starts = [start for start, _ in encoding.spans]
    assert starts == sorted(starts)
    assert encoding.words == sorted(encoding.words)
    for start, end in encoding.spans:
        assert 0 <= start < end <= len(text)
        assert text[start:end].strip()


@given(TEXTS)
def test_the_span_of_a_word_is_its_position_in_the_text(text: str) -> None:
    before = text + " "
    encoding = TOKENIZER.encode(before + "film", 4096)
    assert encoding.spans[-1] == (len(before), len(before) + 4)


@given(st.lists(st.sampled_from(FRAGMENTS), min_size=40, max_size=300), st.integers(1, 12))
def test_tokenizing_only_a_prefix_changes_no_token(fragments: list[str], limit: int) -> None:
    text = "".join(fragments) + " film"
    whole = TOKENIZER.ids(text)
    encoding = TOKENIZER.encode(text, limit)
    assert encoding.ids == whole[:limit]
    assert encoding.truncated == (len(whole) > limit)


@pytest.mark.parametrize("text", ["", " ", "\n\t", "\0", "\u200d", "\u3000"])
def test_a_text_without_a_token_is_an_error(text: str) -> None:
    with pytest.raises(TextError, match="contains no token"):
        TOKENIZER.encode(text, 8)


def test_a_long_text_is_truncated_quickly() -> None:
    assert TOKENIZER.encode("x" * 2_000_000, 16).truncated
    assert TOKENIZER.encode(" " * 200_000 + "film", 16).ids == TOKENIZER.ids("film")


@pytest.mark.parametrize("space", [" ", "\n", "\0", "\u200b\u3000", "\ufeff"])
@pytest.mark.parametrize("length", [1, 31, 32, 33, 100_000])
def test_whitespace_of_any_length_separates_words_and_keeps_offsets(
    space: str, length: int
) -> None:
    words = ["film", "wonderful", "x", "film"]
    text = (space * length).join(words)
    encoding = TOKENIZER.encode(text, 256)
    assert encoding.ids == [token_id for word in words for token_id in TOKENIZER.ids(word)]
    assert encoding.truncated is False
    assert encoding.spans[0] == (0, 4)
    assert encoding.spans[-1] == (len(text) - 4, len(text))


@pytest.mark.parametrize("mark", ["\u0301", "\ufe0f", "\U000e0100"])
@pytest.mark.parametrize("count", [31, 32, 33, 50_000])
def test_combining_marks_that_are_stripped_hide_no_text(mark: str, count: int) -> None:
    """WordPiece strips accents; other tokenizers have tokens for them."""
    wordpiece = Tokenizer.from_json(
        (ROOT / "model/distill/english/tokenizer.json").read_text("utf-8")
    )
    run = mark * count
    for text, words in (
        (run + " good", ["good"]),
        ("good " + run, ["good"]),
        ("caf" + run + "e, bad", ["caf" + run + "e", ",", "bad"]),
        (f"a{run}{' ' * count}b", [None, "b"]),
    ):
        encoding = wordpiece.encode(text, 16)
        assert encoding.ids == wordpiece.ids(text)
        assert encoding.truncated is False
        for (start, end), word in zip(encoding.spans, words, strict=True):
            assert word is None or text[start:end] == word
    assert TOKENIZER.encode(run, 16).ids == TOKENIZER.ids(run)[:16]


@pytest.mark.parametrize("text", ["x", "1", "👍\u200d", "a\u0301\u0323", "!\u0301", "\ufdfa", "好"])
def test_only_a_prefix_of_a_text_without_spaces_is_tokenized(text: str) -> None:
    encoding = TOKENIZER.encode(text * (2_000_000 // len(text)), 256)
    assert (len(encoding.ids), encoding.truncated) == (256, True)
    assert sum(len(chunk.ids) for _, chunk in encoding.chunks) < 100_000


def test_a_saved_tokenizer_gives_the_same_tokens() -> None:
    again = Tokenizer.from_json(TOKENIZER.to_json())
    text = " ".join(FRAGMENTS)
    assert again.ids(text) == TOKENIZER.ids(text)
    assert again.to_json() == TOKENIZER.to_json()
    assert again.vocabulary == TOKENIZER.vocabulary


def test_every_process_learns_the_same_tokenizer() -> None:
    program = (
        "from heed.model.text.tokenizer import Tokenizer; from tests.support.texts import reviews;"
        "print(Tokenizer.fit([text for text, _ in reviews(300, seed=1)], 1000).to_json(), end='')"
    )
    command = [sys.executable, "-c", program]
    for seed in ("1", "2"):
        done = subprocess.run(
            command, cwd=ROOT, env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        )
        assert done.stdout.decode() == TOKENIZER.to_json()


def test_a_new_batch_starts_where_padding_would_cost_more() -> None:
    assert list(length_batches([10, 11, 200, 10], 768)) == [[0, 3, 1], [2]]
    assert list(length_batches([10, 12, 14, 16], 768)) == [[0, 1, 2, 3]]


def test_padding_is_at_the_end_of_shorter_rows() -> None:
    batch = pad([TOKENIZER.ids("film"), TOKENIZER.ids("a film, a story")])
    assert (batch[0, 1:] == 0).all()
    assert (batch[1] != 0).all()


@given(st.lists(st.integers(1, 90)), st.integers(1, 200))
def test_batches_respect_the_budget_and_contain_every_text_once(
    lengths: list[int], budget: int
) -> None:
    groups = list(length_batches(lengths, budget))
    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    for group in groups:
        assert len(group) == 1 or len(group) * max(lengths[i] for i in group) <= budget
