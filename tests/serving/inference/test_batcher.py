"""The queue alone: the texts of the next batch."""

import asyncio
from collections.abc import Generator, Sequence

import pytest

from heed.model.inference.session import CPU_BATCH_TOKENS
from heed.service.errors import QueueFull
from heed.service.inference.batcher import Batcher, Job, estimate_tokens
from tests.support.fakes import FakeClassifier


@pytest.fixture
def loop() -> Generator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def make_job(
    loop: asyncio.AbstractEventLoop, texts: Sequence[str], classifier: FakeClassifier
) -> Job:
    return Job(classifier, texts, "none", loop.create_future())


def test_the_next_batch_includes_a_small_request(loop: asyncio.AbstractEventLoop) -> None:
    batcher = Batcher(65536, budget=1000)
    fake = FakeClassifier()
    large = make_job(loop, ["x" * 200] * 1024, fake)  # 51 tokens each
    batcher.admit(large)
    assert len(batcher.take()) == 19
    small = [make_job(loop, [text], fake) for text in ("a", "ab")]
    for job in small:
        batcher.admit(job)
    batch = batcher.take()
    assert {job for job, _ in batch} == {large, *small}
    assert sum(job.costs[place] for job, place in batch) > 900, "the batch is filled up"
    assert batcher.waiting == sum(large.costs[large.taken :])


def test_a_batch_has_one_model_and_the_next_batch_the_other(
    loop: asyncio.AbstractEventLoop,
) -> None:
    batcher = Batcher(65536, budget=1000)
    one, two = FakeClassifier("one"), FakeClassifier("two")
    jobs = [make_job(loop, ["text"], model) for model in (one, two, one, two)]
    for job in jobs:
        batcher.admit(job)
    assert [job for job, _ in batcher.take()] == [jobs[0], jobs[2]]
    assert [job for job, _ in batcher.take()] == [jobs[1], jobs[3]]


def test_a_text_that_does_not_fit_is_first_in_the_next_batch(
    loop: asyncio.AbstractEventLoop,
) -> None:
    batcher = Batcher(65536, budget=100)
    fake = FakeClassifier()
    short = [make_job(loop, ["x" * 200], fake) for _ in range(3)]  # 51 tokens each
    huge = make_job(loop, ["y" * 3996], fake)  # 1000 tokens
    for job in (short[0], huge, *short[1:]):
        batcher.admit(job)
    order = [[job for job, _ in batcher.take()] for _ in range(4)]
    assert order == [[short[0]], [huge], [short[1]], [short[2]]]
    assert batcher.waiting == 0


def test_a_closed_batcher_returns_the_rest_and_then_nothing(
    loop: asyncio.AbstractEventLoop,
) -> None:
    batcher = Batcher(65536, CPU_BATCH_TOKENS)
    batcher.admit(make_job(loop, ["text"], FakeClassifier()))
    batcher.close()
    assert len(batcher.take()) == 1
    assert batcher.take() == []


def test_the_number_of_tokens_is_estimated_from_the_length() -> None:
    assert estimate_tokens("a", 100) == 1
    assert estimate_tokens("word " * 8, 100) == 11
    assert estimate_tokens("好" * 8, 100) == 8
    assert estimate_tokens("x" * 10_000, 100) == 100


def test_a_full_queue_rejects_and_an_empty_one_takes_any_job(
    loop: asyncio.AbstractEventLoop,
) -> None:
    batcher = Batcher(100, budget=1000)
    fake = FakeClassifier()
    batcher.admit(make_job(loop, ["x" * 396] * 2, fake))  # 200 tokens
    for tokens in (1, 1000):
        with pytest.raises(QueueFull) as rejection:
            batcher.check_capacity(tokens)
        assert rejection.value.headers == {"Retry-After": "1"}
    with pytest.raises(QueueFull):
        batcher.admit(make_job(loop, ["x"], fake))
    assert len(batcher.take()) == 2
    batcher.check_capacity(1000)
    batcher.admit(make_job(loop, ["x" * 356], fake))  # 90 tokens
    batcher.check_capacity(10)
    with pytest.raises(QueueFull):
        batcher.check_capacity(11)
