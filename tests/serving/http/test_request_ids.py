"""Each response has the id of its request and the time of its stages."""

import re
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from starlette.testclient import TestClient

from heed.service.app import create_app
from heed.service.inference.engine import Engine
from heed.service.settings import Settings
from heed.service.state import Service
from tests.support.checks import check_problem
from tests.support.fakes import FakeClassifier
from tests.support.server import Server, wait_for


@contextmanager
def running_app(fake: FakeClassifier, **settings: str) -> Generator[TestClient]:
    app = create_app(
        Settings.model_validate(settings),
        Engine({"fake": fake}, "fake", int(settings.get("max_queue", 65536))),
    )
    with TestClient(app, raise_server_exceptions=False) as client:
        wait_for(lambda: client.get("/readyz").status_code == 200)
        yield client


@pytest.fixture(scope="module")
def client() -> Generator[TestClient]:
    with running_app(FakeClassifier()) as client:
        yield client


@pytest.mark.parametrize("sent", ["a", "!~", "2f1c-44", "x" * 128])
def test_a_valid_id_is_returned(client: TestClient, sent: str) -> None:
    assert client.get("/models", headers={"X-Request-Id": sent}).headers["X-Request-Id"] == sent
    response = client.post("/classify", content="{", headers={"X-Request-Id": sent})
    assert check_problem(response, 415)["request_id"] == sent


@pytest.mark.parametrize("sent", ["", "x" * 129, "two words", "é", "tab\there"])
def test_an_invalid_id_is_replaced(client: TestClient, sent: str) -> None:
    headers = {b"X-Request-Id": sent.encode()}
    received = client.get("/models", headers=headers).headers.get_list("X-Request-Id")
    assert len(received) == 1
    assert re.fullmatch("[0-9a-f]{32}", received[0])


def test_every_request_has_an_id_of_its_own(client: TestClient) -> None:
    paths = ("/", "/docs", "/static/missing", "/models", "/healthz", "/metrics", "/missing")
    found = [client.get(path).headers["X-Request-Id"] for path in paths]
    assert len(set(found)) == len(paths)


@pytest.mark.parametrize("path", ["/models/missing", "/missing", "/classify"])
def test_problems_of_the_framework_have_the_id(client: TestClient, path: str) -> None:
    response = client.get(path)
    check_problem(response, response.status_code)


def test_a_problem_within_a_batch_has_the_id(client: TestClient) -> None:
    body = {"texts": ["abc", "poison"], "explain": "none"}
    response = client.post("/classify/batch", json=body)
    failed = response.json()["results"][1]["error"]
    assert failed["request_id"] == response.headers["X-Request-Id"]


def test_answers_have_the_times_of_their_stages(client: TestClient) -> None:
    response = client.post("/classify", json={"text": "abc", "explain": "none"})
    found = re.fullmatch(
        r"queue;dur=([\d.]+), tokenize;dur=([\d.]+), inference;dur=([\d.]+)",
        response.headers["Server-Timing"],
    )
    assert found is not None
    assert all(0 <= float(milliseconds) < 60_000 for milliseconds in found.groups())
    assert "Server-Timing" not in client.get("/models").headers


def test_the_log_has_the_id_of_a_bug(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    # The fake returns no attention, which would be a bug of a classifier.
    response = client.post("/classify", json={"text": "abc"})
    problem = check_problem(response, 500)
    assert "request_id" in problem["detail"]
    assert f"request {problem['request_id']}: a bug" in caplog.text
    assert "Traceback" in caplog.text


def test_the_log_has_the_id_of_a_request_whose_inference_failed(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    body = {"texts": ["abc", "poison", "bug"], "explain": "none"}
    response = client.post("/classify/batch", json=body)
    assert f"request {response.headers['X-Request-Id']}: 2 of 3 texts failed" in caplog.text


def test_malformed_http_is_answered_with_an_id(server: Server) -> None:
    head, _, body = server.send(b"no HTTP\r\n\r\n").decode().partition("\r\n\r\n")
    found = re.search("x-request-id: ([0-9a-f]{32})", head)
    assert found is not None
    assert f'"request_id":"{found[1]}"' in body


def test_the_response_of_a_full_queue_has_the_id() -> None:
    fake = FakeClassifier()
    with running_app(fake, max_queue="50") as client, ThreadPoolExecutor() as threads:
        fake.open.clear()
        fake.running.clear()
        body = {"texts": ["x" * 100] * 2, "explain": "none"}
        try:
            waiting = [threads.submit(client.post, "/classify/batch", json=body)]
            wait_for(fake.running.is_set)
            waiting.append(threads.submit(client.post, "/classify/batch", json=body))
            service: Service = client.app.state.service  # type: ignore[attr-defined]
            wait_for(lambda: service.engine.batcher.waiting)
            sent = 'quote"and\\backslash'
            response = client.post("/classify/batch", json=body, headers={"X-Request-Id": sent})
            assert check_problem(response, 429)["request_id"] == sent
            assert response.headers["Retry-After"] == "1"
        finally:
            fake.open.set()
        assert [done.result().status_code for done in waiting] == [200, 200]
