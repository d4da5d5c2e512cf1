"""The engine and its queue, around a fake classifier that predicts the length of the text."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import pytest

from heed.model.inference.classifier import Prediction
from heed.service.errors import (
    ClientDisconnected,
    QueueFull,
)
from heed.service.inference.batcher import Job
from heed.service.inference.engine import Engine
from heed.service.settings import Settings
from tests.support.fakes import FakeClassifier

Scenario = Callable[[Engine, FakeClassifier], Awaitable[None]]


def play(scenario: Scenario, max_queue: int = 65536, threads: int = 1) -> None:
    """Run a scenario with a started engine, then stop the engine."""

    async def run() -> None:
        fake = FakeClassifier()
        engine = Engine({"fake": fake}, "fake", max_queue, threads)
        await engine.start()
        try:
            async with asyncio.timeout(60):
                await scenario(engine, fake)
        finally:
            fake.open.set()
            await engine.stop()

    asyncio.run(run())


def lengths(job: Job) -> list[str]:
    """The predicted length of each text, or the name of its error."""
    return [
        job.classifier.config.labels[int(np.argmax(outcome.probabilities))]
        if isinstance(outcome, Prediction)
        else type(outcome).__name__
        for outcome in job.outcomes
    ]


async def ask(engine: Engine, *texts: str) -> list[str]:
    return lengths(await engine.classify(engine.models["fake"], texts, "none"))


def count_jobs() -> int:
    return sum(type(one) is Job for one in gc.get_objects())


def test_a_finished_job_is_freed_without_the_garbage_collector() -> None:
    async def scenario(engine: Engine, fake: FakeClassifier) -> None:
        gc.collect()
        gc.disable()
        try:
            before = count_jobs()
            await ask(engine, "a", "bb")
            while count_jobs() > before:  # noqa: ASYNC110
                await asyncio.sleep(0.01)  # the thread releases it a moment later
        finally:
            gc.enable()

    play(scenario)


async def hold(engine: Engine, fake: FakeClassifier) -> "asyncio.Task[list[str]]":
    """Keep the inference thread busy with one text until `fake.open` is set."""
    fake.open.clear()
    fake.running.clear()
    busy = asyncio.create_task(ask(engine, "busy"))
    await asyncio.to_thread(fake.running.wait, 60)
    return busy


@pytest.mark.parametrize("threads", [1, 2])
def test_each_of_64_concurrent_callers_gets_its_own_answer(threads: int) -> None:
    async def scenario(engine: Engine, fake: FakeClassifier) -> None:
        texts = [["x" * (1 + caller), "y" * (100 + caller)] for caller in range(64)]
        answers = await asyncio.gather(*(ask(engine, *pair) for pair in texts))
        assert answers == [[str(len(a)), str(len(b))] for a, b in texts]
        assert len(fake.batches) < 64, "no batch had more than one text"

    play(scenario, threads=threads)


def test_two_threads_share_one_large_job() -> None:
    async def scenario(engine: Engine, _: FakeClassifier) -> None:
        texts = ["x" * (1 + index % 150) for index in range(1024)]
        assert await ask(engine, *texts) == [str(len(text)) for text in texts]

    play(scenario, threads=2)


@pytest.mark.parametrize("bad", ["poison", "bug", "panic"])
def test_a_failing_text_fails_alone(bad: str) -> None:
    async def scenario(engine: Engine, fake: FakeClassifier) -> None:
        busy = await hold(engine, fake)
        callers = [asyncio.create_task(ask(engine, *texts)) for texts in (["a"], [bad], ["abc"])]
        callers.append(asyncio.create_task(ask(engine, "ab", bad, "abcd", "blank")))
        await asyncio.sleep(0)
        fake.open.set()
        assert await asyncio.gather(busy, *callers) == [
            ["4"],
            ["1"],
            ["InferenceFailed"],
            ["3"],
            ["2", "InferenceFailed", "4", "TextError"],
        ]
        assert await engine.works()

    play(scenario)


def test_a_text_that_makes_the_tokenizer_panic_fails_alone() -> None:
    async def scenario(engine: Engine, _: FakeClassifier) -> None:
        assert await ask(engine, "a", "untokenizable", "abc") == ["1", "InferenceFailed", "3"]

    play(scenario)


def test_failing_inference_is_reported_until_it_works_again() -> None:
    async def scenario(engine: Engine, fake: FakeClassifier) -> None:
        assert await engine.works()
        fake.broken = True
        assert await ask(engine, "a", "ab", "abc") == ["InferenceDown"] * 3
        assert engine.failing == {"fake@1.0.0"}
        assert not await engine.works()
        fake.broken = False
        assert await engine.works(), "each call runs the network again"
        fake.broken = True
        assert await ask(engine, "a") == ["InferenceDown"]
        fake.broken = False
        assert await ask(engine, "a") == ["1"]
        assert not engine.failing

    play(scenario)


def test_a_cancelled_job_is_dropped() -> None:
    async def scenario(engine: Engine, fake: FakeClassifier) -> None:
        busy = await hold(engine, fake)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await ask(engine, "too late")
        fake.open.set()
        assert await busy == ["4"]
        assert await ask(engine, "abc") == ["3"]
        assert fake.batches == [[4], [3]]
        assert engine.batcher.waiting == 0

    play(scenario)


def test_a_job_is_dropped_after_its_client_disconnected() -> None:
    async def scenario(engine: Engine, fake: FakeClassifier) -> None:
        busy = await hold(engine, fake)

        async def wait_disconnect() -> None:
            pass

        with pytest.raises(ClientDisconnected):
            await engine.classify(fake, ["gone!"], "none", wait_disconnect)
        fake.open.set()
        assert await busy == ["4"]
        assert await ask(engine, "abc") == ["3"]
        assert fake.batches == [[4], [3]]

    play(scenario)


def test_a_full_queue_rejects_at_once() -> None:
    async def scenario(engine: Engine, fake: FakeClassifier) -> None:
        busy = await hold(engine, fake)
        large = asyncio.create_task(ask(engine, *["x" * 40] * 50))
        await asyncio.sleep(0)
        with pytest.raises(QueueFull):
            await ask(engine, "a")
        fake.open.set()
        assert await busy == ["4"]
        assert await large == ["40"] * 50
        assert await ask(engine, "a") == ["1"]

    play(scenario, max_queue=100)


def test_a_stopping_engine_answers_admitted_jobs() -> None:
    async def scenario(engine: Engine, fake: FakeClassifier) -> None:
        busy = await hold(engine, fake)
        waiting = asyncio.create_task(ask(engine, "abc"))
        await asyncio.sleep(0)
        stopping = asyncio.create_task(engine.stop())
        await asyncio.sleep(0)
        fake.open.set()
        await stopping
        assert [await busy, await waiting] == [["4"], ["3"]]

    play(scenario)


def test_a_job_has_stage_times_and_each_run_is_reported() -> None:
    async def scenario(engine: Engine, _: FakeClassifier) -> None:
        runs = []
        engine.on_run = lambda *run: runs.append(run)
        job = await engine.classify(engine.models["fake"], ["a", "abc"], "none")
        assert job.queue_seconds > 0
        assert job.tokenize_seconds > 0
        assert job.inference_seconds > 0
        assert runs == [(2, 4, 6)]

    play(scenario)


def test_a_run_hangs_after_30_seconds_or_a_longer_timeout(trained: Path) -> None:
    for timeout, hangs_after in ((0.5, 30.0), (90.0, 90.0)):
        engine = Engine.from_settings(Settings(bundles=trained, timeout=timeout))
        assert engine.hang_seconds == hangs_after
