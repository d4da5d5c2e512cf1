"""What several tests want of an answer."""

from collections.abc import Mapping
from typing import Any, Protocol

import pytest

NAME = {"model": "", "version": ""}
"""Laid over an answer and a result of a batch, it takes away what sets them apart."""
PROBLEM = "application/problem+json"


class Response(Protocol):
    """Of whichever client."""

    @property
    def status_code(self) -> int: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def text(self) -> str: ...
    def json(self) -> Any: ...


def check_problem(response: Response, status: int) -> Any:
    """A problem as RFC 9457 wants it."""
    assert response.status_code == status, response.text
    assert response.headers["Content-Type"] == PROBLEM
    problem = response.json()
    assert problem["type"].startswith("urn:heed:")
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert ("errors" in problem) == (status == 422)
    return problem


def check_invalid(response: Response, *places: list[str | int]) -> None:
    problem = check_problem(response, 422)
    assert [fault["loc"] for fault in problem["errors"]] == list(places)
    assert all(fault["msg"] for fault in problem["errors"])


def check_same(one: Any, two: Any) -> None:
    """Equal, numbers within 1e-5; probabilities may change places where they tie."""
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
