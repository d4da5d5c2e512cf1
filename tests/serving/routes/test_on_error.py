"""`on_error` of `POST /classify/batch`: reject the request, or report the invalid texts."""

from typing import Any

import pytest

from tests.support.checks import check_invalid, check_same
from tests.support.server import Server

BATCH = "/classify/batch"


def report(server: Server, texts: list[Any], **options: Any) -> Any:
    """Return the results of a batch with `on_error` "report"."""
    response = server.post({"texts": texts, "on_error": "report"} | options, BATCH)
    assert response.status_code == 200, response.text
    return response.json()["results"]


@pytest.mark.parametrize("options", [{}, {"on_error": "refuse"}])
def test_an_invalid_text_rejects_the_request(server: Server, options: dict[str, str]) -> None:
    response = server.post({"texts": ["a film", "  ", "two"]} | options, BATCH)
    check_invalid(response, ["body", "texts", 1])


def test_an_invalid_text_is_reported_in_its_place(server: Server) -> None:
    texts = ["a good film", "", 7, "a bad film", None, "a " * 2000]
    results = report(server, texts, truncate=False)
    for index in (1, 2, 4, 5):
        assert list(results[index]) == ["error"]
        problem = results[index]["error"]
        assert (problem["status"], problem["title"]) == (422, "Invalid request")
        assert [fault["loc"] for fault in problem["errors"]] == [["body", "texts", index]]
        assert problem["request_id"]
    for index in (0, 3):
        alone = server.post({"text": texts[index]}).json()
        check_same(
            results[index] | {"model": "", "version": ""}, alone | {"model": "", "version": ""}
        )


@pytest.mark.parametrize("texts", [[""], [1, None], [" ", 3]])
def test_a_batch_without_a_valid_text_is_answered(server: Server, texts: list[Any]) -> None:
    assert all(list(result) == ["error"] for result in report(server, texts))


def test_all_texts_valid_gives_the_same_answer(server: Server) -> None:
    texts = ["a film", "two films"]
    reported = report(server, texts)
    check_same(reported, server.post({"texts": texts}, BATCH).json()["results"])


def test_other_faults_still_reject_the_request(server: Server) -> None:
    def locations(**body: Any) -> Any:
        response = server.post({"on_error": "report"} | body, BATCH)
        assert response.status_code == 422
        return [fault["loc"] for fault in response.json()["errors"]]

    assert locations(texts=[]) == [["body", "texts"]]
    assert locations(texts=["a"], explain="all") == [["body", "explain"]]
    assert locations(texts=["a"], on_error="skip") == [["body", "on_error"]]
    check_invalid(server.post({"text": "a", "on_error": "report"}), ["body", "on_error"])
