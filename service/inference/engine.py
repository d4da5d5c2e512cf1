"""The engine: a queue, threads that empty it, and verified bundles to run.

Its threads are the only ones that run a network. All else here is done on the event loop.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

from heed.model.errors import BundleError
from heed.model.inference.bundle import find_bundles
from heed.model.inference.classifier import Explain, OnnxClassifier
from heed.service.errors import ClientGone, DeadlineExceeded, QueueFull
from heed.service.inference.batcher import Batcher, Entry, Job
from heed.service.inference.runner import WARM_TEXT, Report, run_batch
from heed.service.settings import Settings

WARM_SECONDS = 300.0
PROBE_SECONDS = 1.0
HANG_SECONDS = 30.0
"""A batch that takes longer hangs, and longer than --timeout."""
POOL_TOKENS = 4096
"""Taken from the queue at once, on the CPU: enough to find texts of like length among them."""
WATCH_SECONDS = 0.1
"""After that long it is noticed when a client hangs up."""


class Engine:
    """Bundles behind one queue. Start it in the lifespan; `classify` from the event loop."""

    def __init__(
        self,
        models: dict[str, OnnxClassifier],
        default: str | None,
        max_queue: int,
        threads: int = 1,
        hang_seconds: float = HANG_SECONDS,
    ) -> None:
        """Args:
        models: what to run, by name.
        default: the model that answers when a request names none.
        max_queue: tokens that may wait.
        threads: how many batches may be in flight.
        hang_seconds: a batch that takes longer hangs.
        """
        self.models = models
        self.default = default
        most = max((model.batch_tokens for model in models.values()), default=0)
        self.batcher = Batcher(max_queue, max(POOL_TOKENS, most))
        self.failing: set[str] = set()
        """Models whose network failed when it was last asked."""
        self.on_batch: Callable[[Report], None] = lambda _: None
        self._threads = [
            threading.Thread(target=self._serve, name=f"inference-{i}", daemon=True)
            for i in range(threads)
        ]
        self._loop: asyncio.AbstractEventLoop | None = None
        self.hang_seconds = hang_seconds
        self._begun: dict[int, float] = {}
        """When each thread that is busy began its batch."""

    @classmethod
    def from_settings(cls, settings: Settings) -> "Engine":
        """Load and verify the bundles. Raises `BundleError` or `DeviceError`."""
        models = {
            name: OnnxClassifier(bundle, settings.device, settings.threads, settings.precision)
            for name, bundle in find_bundles(settings.bundles).items()
        }
        default = settings.default_model or ("sentiment" if "sentiment" in models else None)
        if default is None and len(models) == 1:
            (default,) = models
        if default is not None and default not in models:
            raise BundleError(
                f"--default-model {default}: no such bundle; there are {', '.join(models)}"
            )
        on_gpu = any(model.provider != "CPUExecutionProvider" for model in models.values())
        hang_seconds = max(settings.timeout, HANG_SECONDS)
        return cls(models, default, settings.max_queue, 2 if on_gpu else 1, hang_seconds)

    async def start(self) -> None:
        """Start the threads."""
        self._loop = asyncio.get_running_loop()
        for thread in self._threads:
            thread.start()

    async def warm_up(self) -> None:
        """Classify with every model, in the threads that will serve."""
        for model in self.models.values():
            for texts in ([WARM_TEXT], [WARM_TEXT] * 8):
                await self.classify(model, texts, "contributions", WARM_SECONDS)

    async def works(self) -> bool:
        """Whether every model's network works. One that failed when last asked is tried again."""
        for name in sorted(self.failing):
            with suppress(DeadlineExceeded, QueueFull):
                await self.classify(self.models[name], [WARM_TEXT], "none", PROBE_SECONDS)
        return not self.failing

    @property
    def hangs(self) -> bool:
        """Whether a batch has been run for longer than any may take."""
        since = time.monotonic() - self.hang_seconds
        return any(begun < since for begun in list(self._begun.values()))

    async def stop(self) -> None:
        """End the threads once all that was accepted is answered."""
        self.batcher.close()
        for thread in self._threads:
            await asyncio.to_thread(thread.join)

    async def classify(
        self,
        model: OnnxClassifier,
        texts: Sequence[str],
        explain: Explain,
        patience: float,
        hang_up: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> Job:
        """Have the texts of one request classified, in `patience` seconds at most.

        Where it takes long, `hang_up` is awaited beside it: when that ends, nobody waits any more.

        Raises:
            QueueFull: as much waits as may wait.
            DeadlineExceeded: the time passed; what was not yet run is dropped.
            ClientGone: `hang_up` ended first; what was not yet run is dropped.
        """
        assert self._loop is not None, "the engine was not started"
        job = Job(model, texts, explain, self._loop.create_future())
        self.batcher.put(job)
        timers = [self._loop.call_later(patience, _expire, job)]
        if hang_up is not None:
            timers.append(self._loop.call_later(WATCH_SECONDS, _watch, job, hang_up))
        try:
            await job.future
        finally:
            for timer in timers:
                timer.cancel()
        return job

    def _serve(self) -> None:
        """Run batches until the batcher closes: the body of each thread."""
        assert self._loop is not None
        thread = threading.get_ident()
        while batch := self.batcher.take():
            self._begun[thread] = time.monotonic()
            report = run_batch(batch)
            del self._begun[thread]
            self._loop.call_soon_threadsafe(self._hand_back, batch, report)
            del batch  # while nothing comes, nothing is held

    def _hand_back(self, batch: list[Entry], report: Report) -> None:
        name = batch[0][0].classifier.config.name
        if report.works is False:
            self.failing.add(name)
        elif report.works:
            self.failing.discard(name)
        for job in dict.fromkeys(job for job, _ in batch):
            if not job.finished:
                job.stages.queue = report.started - job.arrived
            job.stages.tokenize += report.tokenize
            job.stages.inference += report.inference
        for job, _ in batch:
            job.finished += 1
            if job.finished == len(job.texts) and not job.future.done():
                job.future.set_result(None)
        self.on_batch(report)


def _expire(job: Job) -> None:
    if not job.future.done():
        job.future.set_exception(DeadlineExceeded("the answer took longer than --timeout allows"))


def _watch(job: Job, hang_up: Callable[[], Coroutine[Any, Any, None]]) -> None:
    watching = asyncio.ensure_future(hang_up())
    watching.add_done_callback(lambda _: _abandon(job))
    job.future.add_done_callback(lambda _: watching.cancel())


def _abandon(job: Job) -> None:
    if not job.future.done():
        job.future.set_exception(ClientGone())
