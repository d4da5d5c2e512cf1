"""The English token vectors that are part of Heed, and which texts count as English."""

from pathlib import Path

import pytest
import torch

from heed.model.distill.static_vectors import (
    ENGLISH,
    MIN_WORD_COUNT,
    StaticVectors,
    is_english,
    load_english_vectors,
)
from tests.support.texts import reviews

OTHERS = {
    "German": "Das Hotel war leider eine große Enttäuschung, das Zimmer schmutzig und das Personal "
    "unfreundlich. Bitte stornieren Sie meine Bestellung und erstatten Sie den Betrag.",
    "French": "Le film est une merveille, les acteurs jouent avec une justesse rare et la musique "
    "accompagne chaque scène. Pouvez-vous annuler ma commande et me rembourser ?",
    "Spanish": "La película es maravillosa y los actores están estupendos; la recomiendo a todo el "
    "mundo. Quiero cancelar mi pedido y que me devuelvan el dinero lo antes posible.",
    "Indonesian": "Film ini sangat bagus dan para pemainnya luar biasa, saya merekomendasikannya "
    "kepada semua orang. Saya ingin membatalkan pesanan saya dan meminta uang kembali.",
    "Chinese": "这家酒店很差，房间又脏又小，服务员的态度也不好。书的内容很精彩，推荐大家看。",
    "Arabic": "فيلم جميل ورائع وأنصح به الجميع، لكن الفندق كان سيئا والغرفة قذرة.",
    "no word": "\u200d ... 12345",
}


@pytest.fixture(scope="module")
def vectors() -> StaticVectors:
    return StaticVectors.load(ENGLISH)


def similarity(vectors: StaticVectors, one: str, other: str) -> float:
    first, second = (
        vectors.vectors[vectors.tokenizer.ids(word)].mean(dim=0) for word in (one, other)
    )
    return torch.cosine_similarity(first, second, dim=0).item()


def test_words_of_similar_meaning_have_similar_vectors(vectors: StaticVectors) -> None:
    for narrow in (vectors, vectors.narrowed(32)):
        assert (
            similarity(narrow, "wonderful", "superb")
            > similarity(narrow, "wonderful", "invoice") + 0.2
        )
        assert (
            similarity(narrow, "refund", "reimbursement")
            > similarity(narrow, "refund", "guitar") + 0.2
        )
        assert narrow.vectors[1:].norm(dim=1).mean() == pytest.approx(1, abs=0.01)
        assert not narrow.vectors[0].any()


def test_saved_vectors_are_read_back(vectors: StaticVectors, tmp_path: Path) -> None:
    vectors.save(tmp_path)
    again = StaticVectors.load(tmp_path)
    assert again.tokenizer.to_json() == vectors.tokenizer.to_json()
    assert (again.vectors - vectors.vectors).abs().max() < 0.01


@pytest.mark.parametrize("language", OTHERS)
def test_other_languages_are_not_english(language: str, vectors: StaticVectors) -> None:
    assert not is_english([OTHERS[language]] * 9, vectors.tokenizer)
    assert load_english_vectors([OTHERS[language]] * 9, 128) is None


def test_short_and_informal_texts_are_english(vectors: StaticVectors) -> None:
    short = ["thx, my pkg never came!!", "Can I get a refund plz?", "worst hotel in Tromsø"]
    assert is_english([text for text, _ in reviews(50, 3)], vectors.tokenizer)
    assert is_english([*short, ""], vectors.tokenizer)


def test_frequent_words_of_the_texts_become_tokens(vectors: StaticVectors) -> None:
    texts = ["The Zyxtronic broke 😀"] * MIN_WORD_COUNT + ["The qwertzig broke"] * (
        MIN_WORD_COUNT - 1
    )
    more = vectors.with_words_of(texts)
    assert more.tokenizer.vocabulary == len(more.vectors) == len(vectors.vectors) + 2
    assert len(more.tokenizer.ids("zyxtronic😀")) == 2
    assert len(more.tokenizer.ids("qwertzig")) > 1
    before = vectors.vectors[vectors.tokenizer.ids("zyxtronic")]
    assert torch.allclose(more.vectors[more.tokenizer.ids("zyxtronic")[0]], before.mean(dim=0))
    assert not more.vectors[more.tokenizer.ids("😀")[0]].any()


def test_an_unknown_emoji_does_not_make_the_word_before_it_unknown(vectors: StaticVectors) -> None:
    encoding = vectors.tokenizer.encode("so great👍🏽!", 9)
    assert encoding.ids[:2] == vectors.tokenizer.ids("so great")
    assert encoding.spans[1:] == [(3, 8), (8, 9), (9, 10), (10, 11)]
