"""What is taken from a pretrained sentence encoder: its tokenizer and its tokens' vectors."""

import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from heed.model.distill.encoder import Encoder, read_encoder, static_vectors
from heed.model.errors import DataError
from heed.model.inference.bundle import Bundle
from heed.model.text.pretrained_vocab import adapt_tokenizer
from heed.model.text.tokenizer import Tokenizer
from heed.model.training.checkpoint import STATE
from tests.support import encoders
from tests.support.command import heed, heed_alone
from tests.support.texts import reviews

TEXTS = [text for text, _ in reviews(60, 5) if not {*"😀😡👍👎"} & {*text}]
"""Without the signs that Heed parts from what stands beside them, see `tests/test_vectors.py`."""
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
def adopted(encoder: Encoder) -> tuple[Tokenizer, list[int]]:
    document = encoder.tokenizer.backend_tokenizer.to_str()
    return adapt_tokenizer(document, encoder.tokenizer.all_special_ids, TEXTS)


def test_texts_become_the_encoders_own_tokens(
    encoder: Encoder, adopted: tuple[Tokenizer, list[int]]
) -> None:
    tokenizer, old = adopted
    for text in TEXTS:
        wanted = encoder.tokenizer(text, add_special_tokens=False)["input_ids"]
        assert [old[number] for number in tokenizer.ids(text)] == wanted


@pytest.mark.parametrize("length", [99, 100, 101, 1000])
def test_a_long_word_is_read(length: int, adopted: tuple[Tokenizer, list[int]]) -> None:
    """WordPiece by itself makes one unknown token of more than 100 characters."""
    tokenizer, _ = adopted
    text = f"a {'wonderful' * length}"[: length + 2] + " film"
    encoding = tokenizer.encode(text, 1000)
    assert 1 not in encoding.ids
    read = {place for start, end in encoding.spans for place in range(start, end)}
    assert {place for place, letter in enumerate(text) if letter != " "} <= read
    assert encoding.words == sorted(encoding.words)


@given(text=st.text() | st.lists(st.sampled_from(LITERALS)).map("".join))
def test_no_text_reaches_padding(text: str, adopted: tuple[Tokenizer, list[int]]) -> None:
    tokenizer, old = adopted
    assert 0 not in tokenizer.ids(text)
    assert 0 not in tokenizer.ids(tokenizer.padding_literal)
    assert len(old) == tokenizer.vocabulary


def test_a_large_vocabulary_keeps_what_the_text_needs(
    encoder: Encoder, adopted: tuple[Tokenizer, list[int]]
) -> None:
    document = encoder.tokenizer.backend_tokenizer.to_str()
    fitted, old = adapt_tokenizer(document, encoder.tokenizer.all_special_ids, TEXTS[:5], 100)
    assert fitted.vocabulary < adopted[0].vocabulary
    for text in TEXTS[:5]:
        wanted = encoder.tokenizer(text, add_special_tokens=False)["input_ids"]
        assert [old[number] for number in fitted.ids(text)] == wanted
        assert 0 not in fitted.ids(text)


def test_static_vectors(encoder: Encoder) -> None:
    one, same = (static_vectors(encoder, 8, TEXTS) for _ in range(2))
    assert torch.equal(one.table, same.table)
    assert one.table.shape == (one.tokenizer.vocabulary, 8)
    assert not one.table[0].any()
    assert one.table[1:].norm(dim=1).mean() == pytest.approx(1, abs=1e-5)
    deviations = one.table[1:].std(dim=0)
    assert (deviations[:-1] >= deviations[1:]).all()  # principal components, the first the widest
    with pytest.raises(DataError, match="fewer than --width 128"):
        static_vectors(encoder, 128, TEXTS)


def test_what_is_no_encoder_is_one_sentence(tmp_path: Path, bert: Path) -> None:
    def refused(source: object) -> str:
        with pytest.raises(DataError) as error:
            read_encoder(str(source), "--teacher")
        assert "\n" not in str(error.value)
        return str(error.value)

    assert "not an encoder that transformers can read" in refused(tmp_path)
    broken = shutil.copytree(bert, tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"nothing")
    assert str(broken) in refused(broken)
    (broken / "model.safetensors").unlink()
    (broken / "pytorch_model.bin").write_bytes(b"a pickle")
    assert "not an encoder" in refused(broken)
    assert "no such folder, and the hub" in refused(tmp_path / "nowhere")
    assert "no such folder, and the hub" in refused("no one/none")


def test_a_name_where_there_is_no_network(
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
    *notes, line = done.stderr.splitlines()
    assert len(notes) == 1
    assert line.startswith("heed: --init-embeddings heed-tests/no-such-encoder: no such folder")


def test_training_from_an_encoder_and_going_on(tmp_path: Path, train_csv: Path, bert: Path) -> None:
    """Killed before anything was saved but the job, and after an epoch, it ends the same."""
    folder, out = tmp_path / "checkpoint", tmp_path / "reviews"
    arguments = ("train", train_csv, "--out", out, "--checkpoint", folder, *SMALL)
    heed(*arguments, "--init-embeddings", bert)
    whole = Bundle.load(out)
    assert whole.config.training["init_embeddings"] == bert.name
    assert whole.config.network["vocabulary"] == whole.tokenizer.vocabulary
    card = (out / "README.md").read_text("utf-8")
    assert "base_model" in card
    assert f"Its embedding table started from the token vectors of {bert.name}." in card

    other = heed(*arguments, "--resume", "--force", check=False)
    assert other.returncode == 2
    assert f"was begun with --init-embeddings {bert}; give the same" in other.stderr

    (folder / STATE).unlink()
    heed(*arguments, "--resume", "--force", "--init-embeddings", bert)
    assert Bundle.load(out).model == whole.model
    assert Bundle.load(out).tokenizer.to_json() == whole.tokenizer.to_json()
