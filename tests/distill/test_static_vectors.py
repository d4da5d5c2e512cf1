"""What is known of English words before any training, and for which text it is taken."""

from pathlib import Path

import pytest
import torch

from heed.model.commands.initialization import choose_initialization
from heed.model.commands.options import TrainingRows, TrainOptions
from heed.model.data.labelled import LabelledTexts
from heed.model.distill.static_vectors import (
    ENGLISH,
    MIN_WORD_COUNT,
    StaticVectors,
    is_english,
    load_english_vectors,
)
from heed.model.inference.bundle import Bundle
from heed.model.training.config import LARGE_TRAINING_SET
from tests.support.command import heed
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


def near(vectors: StaticVectors, one: str, other: str) -> float:
    first, second = (
        vectors.table[vectors.tokenizer.ids(word)].mean(dim=0) for word in (one, other)
    )
    return torch.cosine_similarity(first, second, dim=0).item()


def test_words_of_like_meaning_are_near(vectors: StaticVectors) -> None:
    for narrow in (vectors, vectors.narrowed(32)):
        assert near(narrow, "wonderful", "superb") > near(narrow, "wonderful", "invoice") + 0.2
        assert near(narrow, "refund", "reimbursement") > near(narrow, "refund", "guitar") + 0.2
        assert narrow.table[1:].norm(dim=1).mean() == pytest.approx(1, abs=0.01)
        assert not narrow.table[0].any()


def test_saved_and_read_they_are_nearly_the_same(vectors: StaticVectors, tmp_path: Path) -> None:
    vectors.save(tmp_path)
    again = StaticVectors.load(tmp_path)
    assert again.tokenizer.to_json() == vectors.tokenizer.to_json()
    assert (again.table - vectors.table).abs().max() < 0.01


@pytest.mark.parametrize("language", OTHERS)
def test_other_languages_are_told_from_english(language: str, vectors: StaticVectors) -> None:
    assert not is_english([OTHERS[language]] * 9, vectors.tokenizer)
    assert load_english_vectors([OTHERS[language]] * 9, 128) is None


def test_english_is_told(vectors: StaticVectors) -> None:
    short = ["thx, my pkg never came!!", "Can I get a refund plz?", "worst hotel in Tromsø"]
    assert is_english([text for text, _ in reviews(50, 3)], vectors.tokenizer)
    assert is_english([*short, ""], vectors.tokenizer)


def test_frequent_words_of_the_texts_become_tokens(vectors: StaticVectors) -> None:
    texts = ["The Zyxtronic broke 😀"] * MIN_WORD_COUNT + ["The qwertzig broke"] * (
        MIN_WORD_COUNT - 1
    )
    more = vectors.with_words_of(texts)
    assert more.tokenizer.vocabulary == len(more.table) == len(vectors.table) + 2
    assert len(more.tokenizer.ids("zyxtronic😀")) == 2
    assert len(more.tokenizer.ids("qwertzig")) > 1
    pieces = vectors.table[vectors.tokenizer.ids("zyxtronic")]
    assert torch.allclose(more.table[more.tokenizer.ids("zyxtronic")[0]], pieces.mean(dim=0))
    assert not more.table[more.tokenizer.ids("😀")[0]].any()


def test_an_unknown_sign_leaves_the_word_beside_it_readable(vectors: StaticVectors) -> None:
    read = vectors.tokenizer.encode("so great👍🏽!", 9)
    assert read.ids[:2] == vectors.tokenizer.ids("so great")
    assert read.spans[1:] == [(3, 8), (8, 9), (9, 10), (10, 11)]


@pytest.mark.parametrize(
    ("how", "rows", "known"),
    [
        ({}, 20, True),
        ({"init_embeddings": "none"}, 20, False),
        ({"chosen": {"vocabulary": 300}}, 20, False),
        ({"chosen": {"width": 256}}, 20, False),
        ({"chosen": {"width": 64}}, 20, True),
        ({}, LARGE_TRAINING_SET, False),
    ],
)
def test_when_training_starts_from_them(how: dict[str, object], rows: int, known: bool) -> None:
    texts = [text for text, _ in reviews(20, 1)] * (rows // 20)
    train = LabelledTexts(Path("a.csv"), texts, ["a"] * rows, range(rows))
    given = TrainingRows(train, train, None, None, None, [])
    start = choose_initialization(TrainOptions((), Path("out"), **how), given, None, lambda _: None)  # type: ignore[arg-type]
    assert (start.source is not None) == known == (start.table is not None)


def test_a_bundle_tells_of_them(trained: Path, train_csv: Path, tmp_path: Path) -> None:
    assert Bundle.load(trained).config.training["init_embeddings"] == "all-MiniLM-L6-v2"
    card = (trained / "README.md").read_text("utf-8")
    assert "started from the token vectors of all-MiniLM-L6-v2" in card
    small = ("--width", 16, "--heads", 2, "--epochs", 1)
    out = tmp_path / "out"
    heed("train", train_csv, "--out", out, "--init-embeddings", "none", *small)
    config = Bundle.load(out).config
    assert "init_embeddings" not in config.training
    assert config.network["vocabulary"] < 1000
