"""The queue that the event loop and the inference threads share."""

import asyncio
from collections import Counter
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from heed.service.errors import QueueFull
from heed.service.inference.batcher import Batcher, Entry, Job, estimate_tokens
from heed.service.inference.scheduler import Scheduler
from tests.support.fakes import FakeClassifier


@pytest.fixture
def loop() -> Generator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def make_job(loop: asyncio.AbstractEventLoop, texts: Sequence[str]) -> Job:
    return Job(FakeClassifier(), texts, "none", "client", loop.create_future())


def make_batcher(limit: int = 65536) -> Batcher:
    return Batcher(Scheduler(limit, budget=1000, quantum=200, slice_tokens=1000))


def test_texts_of_a_job_are_taken_by_length(loop: asyncio.AbstractEventLoop) -> None:
    batcher = make_batcher()
    batcher.admit(make_job(loop, ["x" * length for length in (90, 10, 50)]))
    assert [index for _, index in batcher.take()] == [1, 2, 0]


def test_a_closed_batcher_returns_the_rest_and_then_nothing(
    loop: asyncio.AbstractEventLoop,
) -> None:
    batcher = make_batcher()
    large = make_job(loop, ["x" * 400] * 9)
    batcher.admit(large)
    batcher.close()
    taken: list[Entry] = []
    while batch := batcher.take():
        taken += batch
    assert taken == [(large, index) for index in range(9)]
    assert batcher.take() == []


def test_threads_wait_for_jobs_and_take_each_text_once(loop: asyncio.AbstractEventLoop) -> None:
    batcher = make_batcher(limit=10**9)
    jobs = [make_job(loop, ["x" * 40] * (1 + 17 * number % 60)) for number in range(300)]

    def take_all() -> list[Entry]:
        taken: list[Entry] = []
        while batch := batcher.take():
            taken += batch
        return taken

    with ThreadPoolExecutor(3) as pool:
        threads = [pool.submit(take_all) for _ in range(3)]
        for job in jobs:
            batcher.admit(job)
        batcher.close()
        taken = Counter(entry for thread in threads for entry in thread.result())
    assert taken == {(job, index): 1 for job in jobs for index in range(len(job.texts))}
    assert batcher.waiting == 0


def test_a_full_queue_rejects_and_an_empty_one_takes_any_job(
    loop: asyncio.AbstractEventLoop,
) -> None:
    batcher = make_batcher(limit=100)
    large = make_job(loop, ["x" * 396] * 50)
    assert batcher.has_capacity("client")
    batcher.admit(large)
    assert batcher.waiting == 1000, "it counts with one slice"
    assert not batcher.has_capacity("client")
    assert not batcher.has_capacity("another")
    with pytest.raises(QueueFull) as rejection:
        batcher.admit(make_job(loop, ["x"]))
    assert rejection.value.headers == {"Retry-After": "1"}
    batcher.take()
    batcher.drop(large)
    assert batcher.waiting == 0
    assert batcher.has_capacity("client")
    batcher.admit(make_job(loop, ["x"]))


def test_the_number_of_tokens_is_estimated_from_the_length() -> None:
    assert estimate_tokens("a", 100) == 1
    assert estimate_tokens("word " * 8, 100) == 11
    assert estimate_tokens("好" * 8, 100) == 8
    assert estimate_tokens("x" * 10_000, 100) == 100
