"""The error trees: each error has a status, a title and a line in the docstring."""

import re
from types import ModuleType
from typing import TypeVar

import pytest

from heed.model import errors as model_errors
from heed.model.errors import HeedError
from heed.service import errors as service_errors
from heed.service.errors import Invalid, ServiceError

T = TypeVar("T")
ERRORS = ServiceError.__subclasses__()


def below(root: type[T]) -> set[type[T]]:
    """Return `root` and all classes derived from it."""
    found = {root}
    for kind in root.__subclasses__():
        found |= below(kind)
    return found


def test_every_error_has_a_status_a_title_and_a_sentence() -> None:
    assert below(ServiceError) == {ServiceError, *ERRORS}
    assert all(400 <= kind.status < 600 for kind in ERRORS)
    assert len({kind.title for kind in ERRORS}) == len(ERRORS)
    assert all(kind.__doc__ for kind in ERRORS)
    with pytest.raises(TypeError, match="status"):
        type("Unmapped", (ServiceError,), {})


def test_the_tree_shows_every_status() -> None:
    drawn = re.findall(r"^[├└]── (\w+) +(\d{3}) ", str(service_errors.__doc__), re.MULTILINE)
    assert {name: int(status) for name, status in drawn} == {
        kind.__name__: kind.status for kind in ERRORS
    }


@pytest.mark.parametrize(
    ("module", "root"), [(model_errors, HeedError), (service_errors, ServiceError)]
)
def test_the_tree_in_the_docstring_is_complete(module: ModuleType, root: type[Exception]) -> None:
    drawn = re.findall(r"^[├└]── (\w+) ", str(module.__doc__), re.MULTILINE)
    declared = {kind.__name__ for kind in below(root) if kind.__module__ == module.__name__}
    assert sorted([*drawn, root.__name__]) == sorted(declared)


@pytest.mark.parametrize("kind", ERRORS, ids=lambda kind: kind.__name__)
def test_a_problem_has_the_fields_of_rfc_9457(kind: type[ServiceError]) -> None:
    error = Invalid([(["body", 1], "why")]) if kind is Invalid else kind("why")
    problem = error.problem()
    assert problem["status"] == kind.status
    assert re.fullmatch(r"urn:heed:[a-z-]+", problem["type"])
    assert "why" in problem["detail"]
    assert ("errors" in problem) == (kind is Invalid)


def test_faults_have_their_locations() -> None:
    error = Invalid([(["body", "texts", 3], "why"), (["body"], "because")])
    assert error.problem()["errors"] == [
        {"loc": ["body", "texts", 3], "msg": "why"},
        {"loc": ["body"], "msg": "because"},
    ]
    assert error.detail == "body.texts.3: why (and 1 more)"
