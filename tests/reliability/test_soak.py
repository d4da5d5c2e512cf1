"""Minutes of mixed traffic leave the server as it was."""

import pytest

from tests.support.reliability import check_goals, missing, run_program

pytestmark = pytest.mark.long


@missing("requests whose client is gone keep running when another request follows them")
def test_memory_does_not_grow() -> None:
    check_goals(run_program("soak"), "memory")


def test_every_answer_is_right() -> None:
    check_goals(run_program("soak"), "wrong answers", "answers with status 5xx", "exit status")


@missing("an answer to a connection that is gone logs a traceback")
def test_the_log_has_no_traceback() -> None:
    check_goals(run_program("soak"), "tracebacks")
