"""Checks of a response that several tests share."""

from collections.abc import Mapping
from typing import Any, Protocol

import pytest

MODEL_FIELDS = {"model": "", "version": ""}
"""Merged into an answer and a result of a batch, it removes their only difference."""
PROBLEM = "application/problem+json"


class Response(Protocol):
    """A response of any HTTP client."""

    @property
    def status_code(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def text(self) -> str: ...
    def json(self) -> Any: ...


def check_problem(response: Response, status: int) -> Any:
    """Check an error response (RFC 9457) and return its body."""
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == PROBLEM
    problem = response.json()
    assert problem["type"].startswith("urn:heed:")
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert problem["request_id"] == response.headers["X-Request-Id"]
    assert ("errors" in problem) == (status == 422)
    return problem


def check_invalid(response: Response, *locations: list[str | int]) -> None:
    """Check that a response is a 422 and lists one fault at each location, in this order."""
    problem = check_problem(response, 422)
    assert [fault["loc"] for fault in problem["errors"]] == list(locations)
    assert all(fault["msg"] for fault in problem["errors"])


def check_same(one: Any, two: Any) -> None:
    """Check that two JSON values are equal, numbers within 1e-5, in any order of the keys."""
    if isinstance(one, float):
        assert one == pytest.approx(two, abs=1e-5)
    elif isinstance(one, dict):
        assert one.keys() == two.keys()
        for key in one:
            check_same(one[key], two[key])
    elif isinstance(one, list):
        for a, b in zip(one, two, strict=True):
            check_same(a, b)
    else:
        assert one == two
