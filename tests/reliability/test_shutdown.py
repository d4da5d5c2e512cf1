"""No accepted request is lost when the server or one of its workers is asked to end."""

import pytest

from tests.support.reliability import check_goals, missing, run_program

pytestmark = pytest.mark.long

WORKERS = pytest.mark.parametrize("workers", ["1", "2"])
STALLED = ("--stall", "0.15")
"""Workers are stopped at the moment at which they close the listening socket."""


# Fails today only when the machine is busy, so the mark cannot be strict.
@pytest.mark.xfail(
    strict=False, raises=AssertionError, reason="issue 20: a stall of 0.1 s loses requests"
)
@WORKERS
def test_no_request_is_lost_at_sigterm(workers: str) -> None:
    check_goals(run_program("sigterm", "--workers", workers))


@missing("connections are closed before their first request is read")
@WORKERS
def test_no_request_is_lost_when_workers_are_stopped_while_they_shut_down(workers: str) -> None:
    check_goals(run_program("sigterm", "--workers", workers, *STALLED))


def test_an_idle_connection_is_closed_only_after_draining() -> None:
    figures = run_program("sigterm", "--drain-seconds", "5", "--pause", "1", "--rounds", "2")
    check_goals(figures, "lost_idle")


def test_no_request_is_lost_when_a_worker_gets_sigterm() -> None:
    check_goals(run_program("sigkill", "--signal", "SIGTERM"))


def test_a_killed_worker_is_replaced() -> None:
    check_goals(run_program("sigkill", "--signal", "SIGKILL"))
