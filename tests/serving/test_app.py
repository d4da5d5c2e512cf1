"""The service in each of its states, around a fake classifier."""

import logging
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from heed.service.app import create_app
from heed.service.inference.engine import Engine
from heed.service.settings import Settings
from tests.support.checks import check_problem
from tests.support.fakes import FakeClassifier
from tests.support.server import wait_for


@contextmanager
def running_app(*fakes: FakeClassifier, **settings: Any) -> Generator[TestClient]:
    """A running app with `fakes` as its models; a single one is the default."""
    models = {fake.config.name: fake for fake in fakes}
    default = fakes[0].config.name if len(fakes) == 1 else None
    engine = Engine(
        dict(models),
        default,
        settings.get("max_queue", 65536),
        hang_seconds=settings.get("timeout", 30.0),
    )
    app = create_app(Settings(**settings), engine)
    with TestClient(app, raise_server_exceptions=False) as client:
        try:
            yield client
        finally:
            for fake in fakes:
                fake.open.set()


def wait_until_ready(client: TestClient) -> None:
    wait_for(lambda: client.get("/readyz").status_code == 200)


def ask(client: TestClient, text: str, **options: Any) -> Any:
    return client.post("/classify", json={"text": text, "explain": "none"} | options)


def ask_all(client: TestClient, *texts: str) -> Any:
    return client.post("/classify/batch", json={"texts": texts, "explain": "none"})


def test_requests_are_503_while_the_models_warm_up() -> None:
    fake = FakeClassifier()
    fake.open.clear()
    with running_app(fake) as client:
        assert client.get("/healthz").status_code == 200
        for response in (client.get("/readyz"), ask(client, "a"), ask_all(client, "a")):
            check_problem(response, 503)
            assert response.headers["Retry-After"] == "1"
        fake.open.set()
        wait_until_ready(client)
        assert ask(client, "abc").json()["label"] == "3"


def test_a_draining_server_answers_and_closes_connections() -> None:
    with running_app(FakeClassifier()) as client:
        wait_until_ready(client)
        assert "Connection" not in ask(client, "abc").headers
        client.app.state.service.draining = True  # type: ignore[attr-defined]
        check_problem(client.get("/readyz"), 503)
        assert client.get("/healthz").status_code == 200
        response = ask(client, "abc")
        assert response.json()["label"] == "3"
        assert response.headers["Connection"] == "close"


def test_failing_inference_is_503_until_it_works_again() -> None:
    fake = FakeClassifier()
    with running_app(fake) as client:
        wait_until_ready(client)
        fake.broken = True
        assert client.get("/healthz").status_code == 200, "no request has failed yet"
        check_problem(ask(client, "a"), 503)
        check_problem(ask_all(client, "a", "b"), 503)
        check_problem(client.get("/healthz"), 503)
        check_problem(client.get("/readyz"), 503)
        fake.broken = False
        assert client.get("/healthz").status_code == 200
        assert ask(client, "abc").json()["label"] == "3"


def test_hanging_inference_is_503_until_it_works_again() -> None:
    fake = FakeClassifier()
    with running_app(fake, timeout=0.5) as client:
        wait_until_ready(client)
        fake.open.clear()
        check_problem(ask(client, "abc"), 504)
        wait_for(lambda: client.get("/healthz").status_code == 503)
        assert "more than 0.5 s" in check_problem(client.get("/healthz"), 503)["detail"]
        check_problem(client.get("/readyz"), 503)
        fake.open.set()
        wait_for(lambda: client.get("/healthz").status_code == 200)
        assert ask(client, "abc").json()["label"] == "3"


def test_one_failing_text_of_a_batch_is_an_error_in_its_place() -> None:
    with running_app(FakeClassifier()) as client:
        wait_until_ready(client)
        response = ask_all(client, "a", "poison", "abc")
        assert response.status_code == 200
        first, failed, last = response.json()["results"]
        assert (first["label"], last["label"]) == ("1", "3")
        assert failed["error"]["status"] == 500
        check_problem(ask(client, "poison"), 500)


def test_a_bug_is_500_without_details(caplog: pytest.LogCaptureFixture) -> None:
    fake = FakeClassifier()
    with running_app(fake) as client, caplog.at_level(logging.CRITICAL):
        wait_until_ready(client)
        # The fake returns no attention, which would be a bug of a classifier.
        problem = check_problem(ask(client, "a", explain="attention"), 500)
        assert set(problem) == {"type", "title", "status", "detail", "request_id"}
        assert (
            problem["detail"] == "an unexpected error occurred; search the log for the request_id"
        )
        assert ask(client, "abc").json()["label"] == "3"


def test_a_full_queue_is_429_at_once() -> None:
    fake = FakeClassifier()
    with running_app(fake, max_queue=50) as client, ThreadPoolExecutor(3) as pool:
        wait_until_ready(client)
        fake.open.clear()
        fake.running.clear()
        running = pool.submit(ask, client, "abc")
        wait_for(fake.running.is_set)
        waiting = pool.submit(ask_all, client, *["x" * 100] * 2)
        engine = client.app.state.service.engine  # type: ignore[attr-defined]
        wait_for(lambda: engine.batcher.waiting)
        for response in (ask(client, "a"), ask_all(client, "a")):
            check_problem(response, 429)
            assert response.headers["Retry-After"] == "1"
        text = client.post("/classify", content=b"{}", headers={"Content-Type": "text/plain"})
        check_problem(text, 415)
        fake.open.set()
        assert running.result().json()["label"] == "3"
        assert [r["label"] for r in waiting.result().json()["results"]] == ["100", "100"]
        assert ask(client, "a").status_code == 200


def test_a_passed_deadline_is_504() -> None:
    fake = FakeClassifier()
    with running_app(fake, timeout=0.2) as client:
        wait_until_ready(client)
        fake.open.clear()
        check_problem(ask(client, "a"), 504)
        check_problem(ask_all(client, "a", "b"), 504)
        fake.open.set()
        wait_for(lambda: ask(client, "abc").status_code == 200)


def test_several_models_without_a_default() -> None:
    one, two = FakeClassifier("one"), FakeClassifier("two")
    with running_app(one, two) as client:
        wait_until_ready(client)
        catalog = client.get("/models").json()
        assert catalog["default"] is None
        assert [model["name"] for model in catalog["models"]] == ["one", "two"]
        assert catalog["models"][0]["provider"] == "FakeExecutionProvider"
        problem = check_problem(ask(client, "a"), 422)
        assert problem["errors"][0]["loc"] == ["body", "model"]
        two.broken = True
        assert ask(client, "a", model="one").json()["model"] == "one"
        check_problem(ask(client, "a", model="two"), 503)
        assert ask(client, "a", model="one").status_code == 200
        check_problem(client.get("/healthz"), 503)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text("first-key\n\n  second-key  \n")
    return path


@pytest.mark.parametrize(
    "header",
    [
        *(None, "", "first-key", "Bearer", "Bearer ", "Bearer wrong", "Bearer first-key2"),
        *("Basic first-key", "Bearer first-key second-key"),
    ],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("POST", "/classify"), ("POST", "/classify/batch"), ("GET", "/models")),
        *(("GET", "/models/x"), ("DELETE", "/classify"), ("GET", "/classify/nope")),
    ],
)
def test_a_guarded_path_without_a_key_is_401(
    keys: Path, header: str | None, method: str, path: str
) -> None:
    with running_app(FakeClassifier(), api_keys_file=keys) as client:
        headers = {} if header is None else {"Authorization": header}
        response = client.request(method, path, headers=headers, content=b"not JSON")
        check_problem(response, 401)
        assert response.headers["WWW-Authenticate"].startswith("Bearer")


def test_open_paths_need_no_key_and_guarded_paths_accept_every_key(keys: Path) -> None:
    with running_app(FakeClassifier(), api_keys_file=keys) as client:
        for path in ("/", "/docs", "/healthz", "/metrics", "/openapi.json", "/static/app.js"):
            assert client.get(path).status_code == 200
        wait_until_ready(client)
        for header in ("Bearer first-key", "bearer second-key", "Bearer  first-key "):
            headers = {"Authorization": header}
            assert client.get("/models", headers=headers).status_code == 200
            response = client.post(
                "/classify", json={"text": "abc", "explain": "none"}, headers=headers
            )
            assert response.json()["label"] == "3"
