"""The server stays fair, efficient and within its memory under hostile load."""

import pytest

from tests.support.reliability import check_goals, missing, run_program

pytestmark = pytest.mark.long


@missing("one large batch fills the queue, and other requests get 429")
def test_single_requests_are_answered_soon_while_a_client_sends_large_batches() -> None:
    check_goals(run_program("fairness"), "share of single", "p99 of single")


def test_the_large_batches_are_answered() -> None:
    check_goals(run_program("fairness"), "batches")


@missing("a full queue has room for single requests but not for batches")
def test_overload_wastes_little_work_and_rejects_batches_no_more_than_single_requests() -> None:
    check_goals(run_program("overload"))


@missing("bodies that are arriving have no common limit")
def test_memory_is_bounded_when_clients_do_not_finish_their_bodies() -> None:
    check_goals(run_program("memory"), "unfinished")


def test_memory_is_bounded_when_clients_do_not_finish_their_heads() -> None:
    check_goals(run_program("memory"), "heads")


@missing("answers that nobody reads have no limit")
def test_memory_is_bounded_when_clients_do_not_read_their_answers() -> None:
    check_goals(run_program("memory"), "unread")
