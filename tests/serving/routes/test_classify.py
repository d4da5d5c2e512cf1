"""Successful responses of a real server, with every field."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from heed.model.inference.bundle import Bundle
from tests.support.checks import MODEL_FIELDS, check_invalid, check_problem, check_same
from tests.support.server import Server
from tests.support.texts import reviews

TEXT = "What a wonderful film! Ｔｈｅ ﬁlm 👍🏽 这家酒店"


def test_the_answer_has_attention_by_default(server: Server, trained: Path) -> None:
    config = Bundle.load(trained).config
    response = server.post({"text": TEXT})
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    assert response.headers["Cache-Control"] == "no-store"
    body = response.json()
    assert list(body) == ["model", "version", "label", "probabilities", "tokens", "truncated"]
    assert (body["model"], body["version"]) == (config.name, config.version)
    assert set(body["probabilities"]) == set(config.labels)
    assert sum(body["probabilities"].values()) == pytest.approx(1, abs=1e-6)
    assert list(body["probabilities"].values()) == sorted(body["probabilities"].values())[::-1]
    assert body["label"] == next(iter(body["probabilities"]))
    assert sum(token["attention"] for token in body["tokens"]) == pytest.approx(1, abs=1e-4)
    for token in body["tokens"]:
        assert list(token) == ["text", "start", "end", "attention"]
        assert token["text"] == TEXT[token["start"] : token["end"]]


@pytest.mark.parametrize("unit", ["token", "word"])
@pytest.mark.parametrize("label", [None, "negative", "positive"])
def test_contributions_sum_to_the_logit(server: Server, unit: str, label: str | None) -> None:
    body = server.post(
        {"text": TEXT, "explain": "contributions", "unit": unit, "explain_label": label}
    ).json()
    assert body["explain_label"] == (label or body["label"])
    total = body["bias"] + sum(token["contribution"] for token in body["tokens"])
    assert total == pytest.approx(body["logit"], abs=1e-4)
    assert sum(token["attention"] for token in body["tokens"]) == pytest.approx(1, abs=1e-4)


def test_explain_none_has_no_tokens_and_top_k_limits_probabilities(server: Server) -> None:
    body = server.post({"text": TEXT, "explain": "none", "top_k": 1}).json()
    assert list(body) == ["model", "version", "label", "probabilities", "truncated"]
    assert list(body["probabilities"]) == [body["label"]]
    assert server.post({"text": TEXT, "top_k": 10**30}).status_code == 200


def test_the_label_is_null_below_min_confidence(server: Server) -> None:
    body = server.post({"text": TEXT, "min_confidence": 1, "explain": "contributions"}).json()
    assert body["label"] is None
    assert body["explain_label"] == next(iter(body["probabilities"]))
    assert server.post({"text": TEXT, "min_confidence": 0}).json()["label"] is not None


def test_a_long_text_is_truncated_or_rejected(server: Server, trained: Path) -> None:
    limit = Bundle.load(trained).config.max_tokens
    text = "film " * (limit + 1)
    body = server.post({"text": text}).json()
    assert body["truncated"] is True
    assert len(body["tokens"]) == limit
    assert server.post({"text": "film " * limit, "truncate": False}).json()["truncated"] is False
    check_invalid(server.post({"text": text, "truncate": False}), ["body", "text"])
    check_invalid(
        server.post({"texts": ["film", text], "truncate": False}, "/classify/batch"),
        ["body", "texts", 1],
    )


@pytest.mark.parametrize("explain", ["none", "attention", "contributions"])
def test_a_batch_returns_the_same_as_each_text_alone(server: Server, explain: str) -> None:
    texts = [text * (1 + index % 5) for index, (text, _) in enumerate(reviews(40, seed=9))]
    body = server.post({"texts": texts, "explain": explain}, "/classify/batch").json()
    assert list(body) == ["model", "version", "results"]
    with ThreadPoolExecutor(8) as pool:
        alone = list(pool.map(lambda t: server.post({"text": t, "explain": explain}).json(), texts))
    for result, single in zip(body["results"], alone, strict=True):
        check_same(MODEL_FIELDS | result, single | MODEL_FIELDS)


def test_each_of_64_concurrent_callers_gets_its_own_answer(server: Server) -> None:
    texts = [f"{text} {index}" for index, (text, _) in enumerate(reviews(64, seed=3))]
    with ThreadPoolExecutor(64) as pool:
        bodies = list(pool.map(lambda text: server.post({"text": text}).json(), texts))
    for text, body in zip(texts, bodies, strict=True):
        assert "".join(token["text"] for token in body["tokens"]) == "".join(text.split())


def test_models_health_and_readiness(server: Server, trained: Path) -> None:
    config = Bundle.load(trained).config
    catalog = server.get("/models").json()
    assert list(catalog) == ["default", "models"]
    assert catalog["default"] == config.name
    model = server.get(f"/models/{config.name}").json()
    assert catalog["models"] == [model]
    assert model.pop("provider") == "CPUExecutionProvider"
    assert set(model) == {
        *("name", "version", "labels", "max_tokens", "min_confidence"),
        *("sha256", "scores", "training"),
    }
    assert all(value == getattr(config, name) for name, value in model.items())
    assert server.get("/healthz").json() == {"status": "ok"}
    assert server.get("/readyz").json() == {"status": "ready"}
    check_problem(server.get("/models/unknown"), 404)
