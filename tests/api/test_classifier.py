"""The Python interface: `heed.load` and what it returns."""

import enum
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import heed
from tests.support.checks import MODEL_FIELDS, check_same
from tests.support.server import Server

TEXTS = [
    "A wonderful, gripping film",
    "这家酒店很差 <b>",
    "ok",
    "the plot was dreadful and the music was worse " * 4,
    "un film très ﬁn 👍🏽",
]


@pytest.fixture(scope="module")
def classifier(trained: Path) -> heed.Classifier:
    return heed.load(trained)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"explain": "none"},
        {"explain": "contributions"},
        {"explain": "contributions", "unit": "word", "explain_label": "negative"},
        {"unit": "word", "top_k": 1, "min_confidence": 1},
        {"truncate": True},
    ],
    ids=str,
)
def test_answers_equal_those_of_http(
    classifier: heed.Classifier, server: Server, options: dict[str, Any]
) -> None:
    for text in TEXTS:
        answer = classifier.classify(text, **options).to_dict()
        sent = server.post({"text": text} | options).json()
        assert list(MODEL_FIELDS | answer) == list(sent)
        check_same({key: sent[key] for key in answer}, answer)


def test_a_typed_answer_has_what_was_asked_for(classifier: heed.Classifier) -> None:
    text = "A wonderful, gripping film"
    answer = classifier.classify(text, explain="contributions", unit="word")
    assert answer.label == next(iter(answer.probabilities))
    assert list(answer.probabilities.values()) == sorted(
        answer.probabilities.values(), reverse=True
    )
    assert answer.tokens is not None
    assert [text[token.start : token.end] for token in answer.tokens] == [
        "A", "wonderful", ",", "gripping", "film"
    ]  # fmt: skip
    assert [token.text for token in answer.tokens] == ["A", "wonderful", ",", "gripping", "film"]
    assert answer.explain_label == answer.label
    assert answer.logit is not None
    assert answer.bias is not None
    contributions = [token.contribution for token in answer.tokens]
    assert answer.bias + sum(map(float, contributions)) == pytest.approx(answer.logit, abs=1e-4)  # type: ignore[arg-type]
    assert answer.truncated is False


def test_what_was_not_asked_for_is_none(classifier: heed.Classifier) -> None:
    attention = classifier.classify("fine")
    assert (attention.explain_label, attention.logit, attention.bias) == (None, None, None)
    assert attention.tokens is not None
    assert attention.tokens[0].contribution is None
    assert classifier.classify("fine", explain="none").tokens is None
    unsure = classifier.classify("fine", min_confidence=1).to_dict()
    assert unsure["label"] is None


def test_a_list_gives_a_list_in_order(classifier: heed.Classifier) -> None:
    texts = TEXTS * 40
    together = classifier.classify(texts, explain="contributions")
    assert isinstance(together, list)
    for text, answer in zip(TEXTS, together, strict=False):
        check_same(answer.to_dict(), classifier.classify(text, explain="contributions").to_dict())
    assert classifier.classify([]) == []


class Colour(str, enum.Enum):  # noqa: UP042  # StrEnum would print the value
    """An enumeration of strings as code before Python 3.11 writes it."""

    GOOD = "wonderful film"


@pytest.mark.parametrize(
    "texts",
    [
        ("good film", "bad"),
        np.array(["good film", "bad"]),
        np.array(["good film", "bad"], dtype=object),
        pd.Series(["good film", "bad"], index=[7, 3]),
        (text for text in ("good film", "bad")),
    ],
    ids=["tuple", "numpy", "objects", "pandas", "generator"],
)
def test_any_iterable_of_strings_is_a_list_of_texts(
    classifier: heed.Classifier, texts: Any
) -> None:
    assert classifier.classify(texts) == classifier.classify(["good film", "bad"])


def test_a_subclass_of_str_is_one_text(classifier: heed.Classifier) -> None:
    plain = classifier.classify("wonderful film")
    assert classifier.classify(np.str_("wonderful film")) == plain
    assert classifier.classify(Colour.GOOD) == plain


@pytest.mark.parametrize(
    ("texts", "index", "reason"),
    [
        (5, 0, "must be a string, not int"),
        (b"fine", 0, "must be a string, not bytes"),
        ({"text": "fine"}, 0, "must be a string, not dict"),
        (["fine", None], 1, "must be a string, not NoneType"),
        (pd.Series(["fine", float("nan")]), 1, "must be a string, not float"),
        (" \t", 0, "no token"),
        (["fine", "good", ""], 2, "no token"),
        ("a\ud83d", 0, "lone surrogate at index 1"),
        (["fine", "word " * 5000], 1, "more than"),
    ],
)
def test_a_text_that_is_not_valid_is_named(
    classifier: heed.Classifier, texts: Any, index: int, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        classifier.classify(texts, truncate=False)
    error = caught.value
    assert isinstance(error, heed.TextError)
    assert isinstance(error, heed.HeedError)
    assert error.index == index
    assert pickle.loads(pickle.dumps(error)).index == index
    single = isinstance(texts, str | int | bytes | dict)
    assert str(error).startswith(f"texts[{index}]: ") != single


def test_a_long_text_is_cut_unless_truncation_is_refused(classifier: heed.Classifier) -> None:
    assert classifier.classify("word " * 5000).truncated
    with pytest.raises(heed.TextError, match=r"more than \d+ tokens"):
        classifier.classify("word " * 5000, truncate=False)


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"explain": "all"}, ValueError, "explain 'all' is not one of none, attention"),
        ({"explain": None}, TypeError, "explain must be one of"),
        ({"unit": "sentence"}, ValueError, "unit 'sentence'"),
        ({"explain_label": "neutral"}, ValueError, "it has negative, positive"),
        ({"explain_label": 1}, TypeError, "explain_label"),
        ({"truncate": 1}, TypeError, "truncate must be True or False"),
        ({"top_k": 0}, ValueError, "top_k must be at least 1"),
        ({"top_k": True}, TypeError, "top_k must be a whole number"),
        ({"top_k": 1.5}, TypeError, "top_k must be a whole number"),
        ({"min_confidence": 1.5}, ValueError, "from 0 to 1"),
        ({"min_confidence": float("nan")}, ValueError, "from 0 to 1"),
        ({"min_confidence": "0.5"}, TypeError, "from 0 to 1"),
        ({"model": "reviews"}, TypeError, "model"),
    ],
    ids=str,
)
def test_an_option_that_is_not_valid_is_refused(
    classifier: heed.Classifier, options: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error, match=sentence):
        classifier.classify("fine", **options)


def test_options_may_be_numbers_of_numpy(classifier: heed.Classifier) -> None:
    options: dict[str, Any] = {"top_k": np.int64(1), "min_confidence": np.float32(0.5)}
    assert classifier.classify("fine", **options) == classifier.classify(
        "fine", top_k=1, min_confidence=0.5
    )


def test_predictions_are_arrays(classifier: heed.Classifier) -> None:
    answers = classifier.classify(TEXTS, min_confidence=1)
    probabilities = classifier.predict_proba(TEXTS)
    assert probabilities.dtype == np.float64
    assert probabilities.shape == (len(TEXTS), len(classifier.labels))
    assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-12)
    for row, answer in zip(probabilities.tolist(), answers, strict=True):
        assert dict(zip(classifier.labels, row, strict=True)) == pytest.approx(
            answer.probabilities, abs=1e-6
        )
    labels = classifier.predict(TEXTS)
    assert labels.dtype == object
    assert labels.tolist() == [next(iter(answer.probabilities)) for answer in answers]
    assert classifier.predict([]).shape == (0,)
    assert classifier.predict_proba([]).shape == (0, 2)


def test_predictions_are_for_lists_only(classifier: heed.Classifier) -> None:
    for call in (classifier.predict, classifier.predict_proba):
        with pytest.raises(TypeError, match="put the single text into a list"):
            call("fine")
        with pytest.raises(heed.TextError) as caught:
            call(["fine", ""])
        assert caught.value.index == 1
    frame = pd.DataFrame({"text": ["fine"]})
    with pytest.raises(TypeError, match="pass one column"):
        classifier.predict(frame)


def test_threads_get_their_own_answers(trained: Path) -> None:
    classifier = heed.load(trained)
    texts = [f"{text} {number}" for number in range(40) for text in TEXTS]
    expected = heed.load(trained).classify(texts, explain="contributions")
    with ThreadPoolExecutor(8) as pool:
        found = pool.map(lambda text: classifier.classify(text, explain="contributions"), texts)
        for one, two in zip(found, expected, strict=True):
            check_same(one.to_dict(), two.to_dict())


def test_a_classifier_names_its_bundle(classifier: heed.Classifier, trained: Path) -> None:
    assert (classifier.name, classifier.labels) == ("reviews", ["negative", "positive"])
    assert "reviews" in repr(classifier)
    classifier.labels.clear()
    assert classifier.labels == ["negative", "positive"]
    assert heed.load(str(trained), "cpu", 2).predict(["fine"]).shape == (1,)


def test_what_cannot_be_loaded_is_named(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(heed.BundleError, match=r"nothing.*No such file"):
        heed.load(tmp_path / "nothing")
    with pytest.raises(ValueError, match="device 'tpu' is not one of auto, cpu, cuda"):
        heed.load(trained, device="tpu")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="threads must be at least 1"):
        heed.load(trained, threads=0)
    with pytest.raises(TypeError, match="threads"):
        heed.load(trained, threads="2")  # type: ignore[arg-type]
