"""A reload under load answers every request by a version that is served."""

import pytest

from tests.support.reliability import check_goals, missing, run_program

pytestmark = pytest.mark.long


@missing("SIGHUP does not reload")
def test_sighup_reloads_without_a_failed_request() -> None:
    check_goals(run_program("reload"))


@pytest.mark.xfail(strict=True, raises=RuntimeError, reason="issue 20: there is no --watch")
def test_watch_reloads_without_a_failed_request() -> None:
    check_goals(run_program("reload", "--watch", "1", "--reloads", "10", "--kills", "0"))
