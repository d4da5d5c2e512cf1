"""The answer that the server, the command and the Python API share."""

import json
from typing import Any

import numpy as np
import pytest
from msgspec import to_builtins

from heed.model.bundles import BundleConfig
from heed.model.inference import response
from heed.model.inference.classifier import Prediction, softmax
from heed.model.inference.response import Unit
from heed.model.text.tokenizer import Tokenizer

TEXT = "Unbelievably good 👍 film, ﬁne"
TOKENIZER = Tokenizer.fit(["good film", "un be lie va bly"] * 3, 60)


def make_config(labels: list[str], min_confidence: float | None = None) -> BundleConfig:
    return BundleConfig(
        format=1,
        name="tiny",
        version="1.0.0",
        labels=labels,
        max_tokens=64,
        bias=[0.25] * len(labels),
        temperature=1.0,
        min_confidence=min_confidence,
        sha256={},
    )


def make_prediction(classes: int = 3, max_tokens: int = 64) -> Prediction:
    random = np.random.default_rng(0)
    encoding = TOKENIZER.encode(TEXT, max_tokens)
    contributions = random.normal(size=(len(encoding.ids), classes)).astype(np.float32)
    attention = random.random(len(encoding.ids)).astype(np.float32)
    logits = contributions.sum(axis=0) + np.float32(0.25)
    return Prediction(
        encoding,
        logits,
        softmax(logits.astype(np.float64)).tolist(),
        attention / attention.sum(),
        contributions,
    )


def answer(*args: Any, **options: Any) -> dict[str, Any]:
    """The answer as a client reads it."""
    plain: dict[str, Any] = to_builtins(response.build_answer(*args, **options))
    return plain


CONFIG = make_config(["a", "b", "c"])
PREDICTION = make_prediction()
RANKED = [CONFIG.labels[index] for index in np.argsort(-np.array(PREDICTION.probabilities))]


@pytest.mark.parametrize("unit", ["token", "word"])
def test_contributions_and_bias_sum_to_the_logit(unit: Unit) -> None:
    result = answer(PREDICTION, CONFIG, text=TEXT, explain="contributions", unit=unit)
    assert list(result) == [
        "label", "probabilities", "tokens", "explain_label", "logit", "bias", "truncated"
    ]  # fmt: skip
    assert result["explain_label"] == result["label"] == RANKED[0]
    total = result["bias"] + sum(token["contribution"] for token in result["tokens"])
    assert total == pytest.approx(result["logit"], abs=1e-5)
    assert sum(token["attention"] for token in result["tokens"]) == pytest.approx(1, abs=1e-5)
    assert all(TEXT[token["start"] : token["end"]] == token["text"] for token in result["tokens"])


def test_a_word_sums_the_numbers_of_its_tokens() -> None:
    tokens = answer(PREDICTION, CONFIG, text=TEXT, explain="contributions")["tokens"]
    words = answer(PREDICTION, CONFIG, text=TEXT, explain="contributions", unit="word")["tokens"]
    assert [word["text"] for word in words] == ["Unbelievably", "good", "👍", "film", ",", "ﬁne"]
    for word in words:
        inside = [t for t in tokens if word["start"] <= t["start"] and t["end"] <= word["end"]]
        for number in ("attention", "contribution"):
            assert word[number] == pytest.approx(sum(token[number] for token in inside), abs=1e-6)


def test_explain_selects_the_fields_of_the_answer() -> None:
    attention = answer(PREDICTION, CONFIG, text=TEXT, explain="attention")
    assert list(attention["tokens"][0]) == ["text", "start", "end", "attention"]
    assert not {"explain_label", "logit", "bias"} & attention.keys()
    assert list(answer(PREDICTION, CONFIG, text=TEXT, explain="none")) == [
        "label", "probabilities", "truncated"
    ]  # fmt: skip


def test_another_label_can_be_explained() -> None:
    result = answer(PREDICTION, CONFIG, text=TEXT, explain="contributions", explain_label=RANKED[2])
    assert (result["label"], result["explain_label"]) == (RANKED[0], RANKED[2])
    assert result["logit"] == pytest.approx(
        float(PREDICTION.logits[CONFIG.labels.index(RANKED[2])])
    )
    with pytest.raises(ValueError, match="unknown"):
        answer(PREDICTION, CONFIG, text=TEXT, explain="contributions", explain_label="unknown")


def test_probabilities_are_ranked_cut_and_sum_to_one() -> None:
    labels = [f"label {index}" for index in range(1000)]
    prediction = make_prediction(classes=1000)
    probabilities = answer(prediction, make_config(labels), text=TEXT)["probabilities"]
    assert sum(probabilities.values()) == pytest.approx(1, abs=1e-6)
    assert list(probabilities.values()) == sorted(probabilities.values(), reverse=True)
    first = answer(prediction, make_config(labels), text=TEXT, top_k=3)["probabilities"]
    assert list(first.items()) == list(probabilities.items())[:3]


@pytest.mark.parametrize(
    ("of_bundle", "of_request", "withheld"),
    [
        (None, None, False),
        (1.0, None, True),
        (1.0, 0.0, False),
        (None, 1.0, True),
        (0.0, None, False),
    ],
)
def test_the_label_is_withheld_below_min_confidence(
    of_bundle: float | None, of_request: float | None, withheld: bool
) -> None:
    result = answer(
        PREDICTION,
        make_config(CONFIG.labels, of_bundle),
        text=TEXT,
        explain="contributions",
        min_confidence=of_request,
    )
    assert result["label"] == (None if withheld else RANKED[0])
    assert result["explain_label"] == RANKED[0]


def test_a_truncated_answer_is_plain_json() -> None:
    result = answer(
        make_prediction(max_tokens=2), CONFIG, text=TEXT, explain="contributions", unit="word"
    )
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result["truncated"] is True
