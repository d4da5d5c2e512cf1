"""The queue by itself: who is in the next batch."""

import asyncio
from collections.abc import Generator, Sequence

import pytest

from heed.model.inference.session import CPU_BATCH_TOKENS
from heed.service.inference.batcher import Batcher, Job, estimate_tokens
from tests.support.fakes import FakeClassifier


@pytest.fixture
def loop() -> Generator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def job_of(
    loop: asyncio.AbstractEventLoop, texts: Sequence[str], classifier: FakeClassifier
) -> Job:
    return Job(classifier, texts, "none", loop.create_future())


def test_a_small_request_is_in_the_next_batch(loop: asyncio.AbstractEventLoop) -> None:
    batcher = Batcher(65536, budget=1000)
    fake = FakeClassifier()
    large = job_of(loop, ["x" * 200] * 1024, fake)  # 51 tokens each
    batcher.put(large)
    assert len(batcher.take()) == 19
    small = [job_of(loop, [text], fake) for text in ("a", "ab")]
    for job in small:
        batcher.put(job)
    batch = batcher.take()
    assert {job for job, _ in batch} == {large, *small}
    assert sum(job.costs[place] for job, place in batch) > 900, "the batch is filled up"
    assert batcher.waiting == sum(large.costs[large.taken :])


def test_a_batch_is_of_one_model_and_the_other_is_next(loop: asyncio.AbstractEventLoop) -> None:
    batcher = Batcher(65536, budget=1000)
    one, two = FakeClassifier("one"), FakeClassifier("two")
    jobs = [job_of(loop, ["text"], model) for model in (one, two, one, two)]
    for job in jobs:
        batcher.put(job)
    assert [job for job, _ in batcher.take()] == [jobs[0], jobs[2]]
    assert [job for job, _ in batcher.take()] == [jobs[1], jobs[3]]


def test_a_text_that_does_not_fit_is_first_in_the_next_batch(
    loop: asyncio.AbstractEventLoop,
) -> None:
    batcher = Batcher(65536, budget=100)
    fake = FakeClassifier()
    short = [job_of(loop, ["x" * 200], fake) for _ in range(3)]  # 51 tokens each
    huge = job_of(loop, ["y" * 3996], fake)  # 1000 tokens
    for job in (short[0], huge, *short[1:]):
        batcher.put(job)
    order = [[job for job, _ in batcher.take()] for _ in range(4)]
    assert order == [[short[0]], [huge], [short[1]], [short[2]]]
    assert batcher.waiting == 0


def test_a_closed_batcher_gives_what_is_left_and_then_nothing(
    loop: asyncio.AbstractEventLoop,
) -> None:
    batcher = Batcher(65536, CPU_BATCH_TOKENS)
    batcher.put(job_of(loop, ["text"], FakeClassifier()))
    batcher.close()
    assert len(batcher.take()) == 1
    assert batcher.take() == []


def test_tokens_are_estimated_before_any_work() -> None:
    assert estimate_tokens("a", 100) == 1
    assert estimate_tokens("word " * 8, 100) == 11
    assert estimate_tokens("好" * 8, 100) == 8
    assert estimate_tokens("x" * 10_000, 100) == 100


@pytest.mark.parametrize("size", [160, 65536])
def test_only_a_queue_that_is_all_but_full_refuses_by_a_length(
    loop: asyncio.AbstractEventLoop, size: int
) -> None:
    batcher = Batcher(size, budget=1000)
    fake = FakeClassifier()
    assert not batcher.lacks_room(10**9), "an empty queue admits a job of any size"
    while batcher.waiting < size * 15 // 16:
        assert not batcher.lacks_room(10**9), "a long text may be cut"
        batcher.put(job_of(loop, ["x" * 36], fake))  # 10 tokens
    batcher.put(job_of(loop, ["x" * 36] * ((size - batcher.waiting) // 10), fake))
    assert batcher.lacks_room(10**9)
    assert not batcher.lacks_room(0) or batcher.waiting == size
