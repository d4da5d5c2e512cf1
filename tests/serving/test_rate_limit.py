"""The rate limit is a token bucket for each client, in memory that several processes share."""

import mmap
import subprocess
import sys

import pytest

from heed.service import rate_limit
from heed.service.process.shared_table import SharedTable
from heed.service.rate_limit import RateLimiter


class Clock:
    """A clock that tests set."""

    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def admitted(limiter: RateLimiter, client: bytes, requests: int) -> int:
    return sum(limiter.admit(client) == 0 for _ in range(requests))


@pytest.mark.parametrize(("rate", "burst"), [(5, 10), (0.5, 1), (0.2, 1), (100, 200)])
def test_a_client_may_send_twice_the_rate_at_once(clock: Clock, rate: float, burst: int) -> None:
    limiter = RateLimiter(rate, clock=clock)
    assert admitted(limiter, b"a", burst + 5) == burst
    wait = limiter.admit(b"a")
    assert 0 < wait < 1 / rate + 1e-6
    clock.seconds += wait
    assert admitted(limiter, b"a", 5) == 1
    clock.seconds += 1000
    assert admitted(limiter, b"a", burst + 5) == burst


def test_the_rate_is_that_of_the_option(clock: Clock) -> None:
    limiter = RateLimiter(5, clock=clock)
    admitted(limiter, b"a", 20)
    count = 0
    for _ in range(1000):
        clock.seconds += 0.01
        count += limiter.admit(b"a") == 0
    assert count in (49, 50)


def test_clients_do_not_affect_each_other(clock: Clock) -> None:
    limiter = RateLimiter(1, clock=clock)
    for number in range(8_000):
        assert admitted(limiter, str(number).encode(), 3) == 2
    assert sum(limiter.admit(str(number).encode()) == 0 for number in range(8_000)) < 20


def test_more_clients_than_slots_are_admitted(clock: Clock) -> None:
    limiter = RateLimiter(1, clock=clock)
    for number in range(rate_limit.SLOTS + rate_limit.SLOTS // 2):
        assert limiter.admit(str(number).encode()) == 0


PROGRAM = """
import sys
from heed.service.process.shared_table import SharedTable
from heed.service.rate_limit import RateLimiter
table = SharedTable(int(sys.argv[1]))
limiter = RateLimiter(1000, table.rates, table.file, clock=lambda: 100.0)
print(sum(limiter.admit(b"a") == 0 for _ in range(1500)))
"""


def test_several_processes_share_the_rate_of_a_client() -> None:
    file = SharedTable.create(2).file
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(file)], pass_fds=[file], stdout=subprocess.PIPE
        )
        for _ in range(3)
    ]
    counts = [int(process.communicate()[0]) for process in processes]
    # A process that is suspended with a lock makes the others count without it.
    assert 2000 <= sum(counts) <= 2100


def test_the_table_has_a_secret_of_its_own() -> None:
    tables = [SharedTable.create(1) for _ in range(2)]
    first, second = (bytes(table.rates[: rate_limit.SECRET_BYTES]) for table in tables)
    assert first != second
    assert len(mmap.mmap(tables[0].file, 0)) == rate_limit.TABLE_BYTES + 16
