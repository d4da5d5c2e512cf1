"""Pretrained sentence encoders: tokenizers of three kinds, and static token vectors."""

import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from heed.model.distill.encoder import Encoder, extract_static_vectors, read_encoder
from heed.model.errors import DataError
from heed.model.inference.bundle import Bundle
from heed.model.text.pretrained_vocab import adapt_tokenizer
from heed.model.text.tokenizer import Tokenizer
from heed.model.training.checkpoint import STATE
from tests.support import encoders
from tests.support.command import heed, heed_alone
from tests.support.texts import reviews

TEXTS = [text for text, _ in reviews(60, 5) if not {*"😀😡👍👎"} & {*text}]
"""Without emoji, which Heed separates from the word before them."""
LITERALS = [
    "<s>",
    "</s>",
    "<pad>",
    "<unk>",
    "[PAD]",
    "[PAD] ",
    "[CLS]",
    "[MASK]",
    "a<pad>b",
    "<s>a",
]
SMALL = ("--width", 16, "--heads", 2, "--epochs", 3)


@pytest.fixture(scope="session", params=["bert", "roberta", "unigram"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    make = getattr(encoders, request.param)
    made: Path = make(tmp_path_factory.mktemp("encoders") / request.param)
    return made


@pytest.fixture(scope="session")
def encoder(folder: Path) -> Encoder:
    return read_encoder(str(folder), "--init-embeddings")


@pytest.fixture(scope="session")
def adapted(encoder: Encoder) -> tuple[Tokenizer, list[int]]:
    document = encoder.tokenizer.backend_tokenizer.to_str()
    return adapt_tokenizer(document, encoder.tokenizer.all_special_ids, TEXTS)


def test_texts_have_the_tokens_of_the_encoder(
    encoder: Encoder, adapted: tuple[Tokenizer, list[int]]
) -> None:
    tokenizer, encoder_ids = adapted
    for text in TEXTS:
        expected = encoder.tokenizer(text, add_special_tokens=False)["input_ids"]
        assert [encoder_ids[token] for token in tokenizer.ids(text)] == expected


@pytest.mark.parametrize("length", [99, 100, 101, 1000])
def test_a_long_word_has_known_tokens(length: int, adapted: tuple[Tokenizer, list[int]]) -> None:
    """By default, WordPiece makes one unknown token of a word of more than 100 characters."""
    tokenizer, _ = adapted
    text = f"a {'wonderful' * length}"[: length + 2] + " film"
    encoding = tokenizer.encode(text, 1000)
    assert 1 not in encoding.ids
    covered = {index for start, end in encoding.spans for index in range(start, end)}
    assert {index for index, letter in enumerate(text) if letter != " "} <= covered
    assert encoding.words == sorted(encoding.words)


@given(text=st.text() | st.lists(st.sampled_from(LITERALS)).map("".join))
def test_no_text_has_the_id_of_padding(text: str, adapted: tuple[Tokenizer, list[int]]) -> None:
    tokenizer, encoder_ids = adapted
    assert 0 not in tokenizer.ids(text)
    assert 0 not in tokenizer.ids(tokenizer.padding_literal)
    assert len(encoder_ids) == tokenizer.vocabulary


def test_a_large_vocabulary_is_reduced_to_the_tokens_of_the_texts(
    encoder: Encoder, adapted: tuple[Tokenizer, list[int]]
) -> None:
    document = encoder.tokenizer.backend_tokenizer.to_str()
    special = encoder.tokenizer.all_special_ids
    reduced, encoder_ids = adapt_tokenizer(document, special, TEXTS[:5], 100)
    assert reduced.vocabulary < adapted[0].vocabulary
    for text in TEXTS[:5]:
        expected = encoder.tokenizer(text, add_special_tokens=False)["input_ids"]
        assert [encoder_ids[token] for token in reduced.ids(text)] == expected
        assert 0 not in reduced.ids(text)


def test_static_vectors_are_principal_components_and_repeatable(encoder: Encoder) -> None:
    one, same = (extract_static_vectors(encoder, 8, TEXTS) for _ in range(2))
    assert torch.equal(one.vectors, same.vectors)
    assert one.vectors.shape == (one.tokenizer.vocabulary, 8)
    assert not one.vectors[0].any()
    assert one.vectors[1:].norm(dim=1).mean() == pytest.approx(1, abs=1e-5)
    deviations = one.vectors[1:].std(dim=0)
    assert (deviations[:-1] >= deviations[1:]).all()
    with pytest.raises(DataError, match="fewer than --width 128"):
        extract_static_vectors(encoder, 128, TEXTS)


def test_a_folder_that_is_not_an_encoder_is_an_error(tmp_path: Path, bert: Path) -> None:
    def error_of(source: object) -> str:
        with pytest.raises(DataError) as error:
            read_encoder(str(source), "--teacher")
        assert "\n" not in str(error.value)
        return str(error.value)

    assert "not an encoder that transformers can read" in error_of(tmp_path)
    broken = shutil.copytree(bert, tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"nothing")
    assert str(broken) in error_of(broken)
    (broken / "model.safetensors").unlink()
    (broken / "pytorch_model.bin").write_bytes(b"a pickle")
    assert "not an encoder" in error_of(broken)
    assert "no such folder, and the hub" in error_of(tmp_path / "nowhere")
    assert "no such folder, and the hub" in error_of("no one/none")


def test_a_name_on_the_hub_without_internet_is_an_error(
    tmp_path: Path, train_csv: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    done = heed_alone(
        *("train", train_csv, "--out", tmp_path / "out"),
        *("--init-embeddings", "heed-tests/no-such-encoder"),
        check=False,
    )
    assert done.returncode == 2
    *messages, line = done.stderr.splitlines()
    assert len(messages) == 1
    assert line.startswith("heed: --init-embeddings heed-tests/no-such-encoder: no such folder")


@pytest.mark.slow
def test_a_training_from_an_encoder_resumes_with_the_same_vectors(
    tmp_path: Path, train_csv: Path, bert: Path
) -> None:
    folder, out = tmp_path / "checkpoint", tmp_path / "reviews"
    arguments = ("train", train_csv, "--out", out, "--checkpoint", folder, *SMALL)
    heed(*arguments, "--init-embeddings", bert)
    whole = Bundle.load(out)
    assert whole.config.training["init_embeddings"] == bert.name
    assert whole.config.network["vocabulary"] == whole.tokenizer.vocabulary

    other = heed(*arguments, "--resume", "--force", check=False)
    assert other.returncode == 2
    assert f"was started with --init-embeddings {bert}; use the same" in other.stderr

    (folder / STATE).unlink()
    heed(*arguments, "--resume", "--force", "--init-embeddings", bert)
    assert Bundle.load(out).model == whole.model
    assert Bundle.load(out).tokenizer.to_json() == whole.tokenizer.to_json()
