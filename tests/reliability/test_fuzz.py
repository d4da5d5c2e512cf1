"""Random and damaged inputs crash nothing."""

import pytest

from tests.support.reliability import check_goals, missing, run_program

pytestmark = pytest.mark.long


@pytest.mark.parametrize(
    "target",
    [
        "bodies",
        "texts",
        pytest.param("heads", marks=missing("an answer to a closed connection is a traceback")),
        pytest.param("configs", marks=missing("config.json has no hash and lax types")),
        pytest.param("bundles", marks=missing("config.json has no hash, and pipes are opened")),
    ],
)
def test_fuzzing_finds_no_failure(target: str) -> None:
    check_goals(run_program("fuzz", "--target", target))


@missing("the document allows texts that are refused")
def test_schemathesis_finds_no_failure() -> None:
    check_goals(run_program("schema"))
