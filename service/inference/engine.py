"""The engine: verified bundles, one queue, and the threads that run the networks.

Only these threads run a network. Everything else here happens on the event loop.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Hashable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from heed.model.bundles import ModelId, ModelTable
from heed.model.errors import BundleError
from heed.model.inference import Explain, OnnxClassifier, find_bundles
from heed.service.errors import ClientDisconnected, QueueFull
from heed.service.inference.batcher import Batcher, Entry, Job
from heed.service.inference.runner import PROBE_TEXT, BatchReport, run_batch
from heed.service.inference.scheduler import Scheduler
from heed.service.settings import Settings

WARM_UP_SECONDS = 300.0
WARM_UP_TEXTS = [[PROBE_TEXT], [PROBE_TEXT] * 8]
PROBE_SECONDS = 1.0
MIN_HANG_SECONDS = 30.0
"""A batch hangs if it takes longer than this and longer than --timeout."""
MIN_BATCH_BUDGET = 4096
"""Tokens taken from the queue at once; enough to group texts of similar length."""
RUNS_PER_TURN = 2
"""Runs of the network in one turn of a large request. With one, tokenizing and running alternate so
often that long texts take 9 % more processor time; with more, small requests wait longer."""
SLICE_TOKENS = 4096
"""Tokens with which a large request counts as waiting: a sixteenth of the default --max-queue."""
DISCONNECT_CHECK_SECONDS = 0.1
"""After this time the engine starts to check whether the client has disconnected."""


class Engine:
    """Bundles behind one queue. Start it in the lifespan; call `classify` on the event loop."""

    def __init__(
        self,
        models: Mapping[str, OnnxClassifier],
        default: str | None,
        max_queue: int,
        threads: int = 1,
        hang_seconds: float = MIN_HANG_SECONDS,
    ) -> None:
        """Args:
        models: classifiers by name; a `ModelTable` has several versions of a name.
        default: the model for a request that names none.
        max_queue: tokens that may wait.
        threads: batches that may run at the same time.
        hang_seconds: a batch that takes longer hangs.
        """
        self.models = _as_table(models)
        self.wanted_default = default
        classifiers = self.models.versions.values()
        run_tokens = max((model.batch_tokens for model in classifiers), default=1)
        budget = max(MIN_BATCH_BUDGET, run_tokens)
        quantum = min(RUNS_PER_TURN * run_tokens, budget)
        self.batcher = Batcher(Scheduler(max_queue, budget, quantum, SLICE_TOKENS))
        self.failing: set[str] = set()
        """Models whose network failed in its last run, as `name@version`."""
        self.on_run: Callable[[int, int, int], None] = lambda _, __, ___: None
        """Called with texts, tokens, and tokens with padding of each run of a network."""
        self.hang_seconds = hang_seconds
        self._thread_count = threads
        self._threads: list[threading.Thread] = []
        self._batch_started: dict[int, float] = {}
        """Start time of the batch that each busy thread runs."""

    @classmethod
    def from_settings(cls, settings: Settings) -> "Engine":
        """Load and verify the bundles; raises `BundleError` or `DeviceError`."""
        bundles = find_bundles(settings.bundles)
        options = settings.device, settings.threads, settings.precision
        return cls.from_models(bundles.map(lambda b: OnnxClassifier(b, *options)), settings)

    @classmethod
    def from_models(cls, models: ModelTable[OnnxClassifier], settings: Settings) -> "Engine":
        """Return an engine with these models; raises `BundleError` without the default one."""
        default = settings.default_model
        if default is not None and default not in models:
            raise BundleError(
                f"--default-model {default}: no such bundle; choose one of {', '.join(models)}"
            )
        versions = models.versions.values()
        on_gpu = any(model.provider != "CPUExecutionProvider" for model in versions)
        hang_seconds = max(settings.timeout, MIN_HANG_SECONDS)
        return cls(models, default, settings.max_queue, 2 if on_gpu else 1, hang_seconds)

    @property
    def default(self) -> str | None:
        """The model for requests that name none."""
        if self.wanted_default is not None:
            return self.wanted_default
        if "sentiment" in self.models or len(self.models) != 1:
            return "sentiment" if "sentiment" in self.models else None
        return next(iter(self.models))

    def serve(self, models: ModelTable[OnnxClassifier]) -> None:
        """Replace the models, on the event loop. Jobs keep the classifier they were made with."""
        self.models = models
        self.failing = {key for key in self.failing if key in models}

    async def start(self) -> None:
        """Start the threads."""
        loop = asyncio.get_running_loop()
        for _ in range(self._thread_count):
            thread = threading.Thread(target=self._run_batches, args=[loop], daemon=True)
            thread.start()
            self._threads.append(thread)

    async def warm_up(self) -> None:
        """Classify with every model, in the threads that will serve."""
        async with asyncio.timeout(WARM_UP_SECONDS):
            for model in self.models.versions.values():
                for texts in WARM_UP_TEXTS:
                    await self.classify(model, texts, "contributions")

    async def works(self) -> bool:
        """Run the networks that failed in their last run again; True if none fails now."""
        for key in sorted(self.failing):
            with suppress(TimeoutError, QueueFull):
                async with asyncio.timeout(PROBE_SECONDS):
                    await self.classify(self.models[key], [PROBE_TEXT], "none")
        return not self.failing

    @property
    def hangs(self) -> bool:
        """True if a batch has been running for more than `hang_seconds`."""
        limit = time.monotonic() - self.hang_seconds
        return any(started < limit for started in list(self._batch_started.values()))

    async def stop(self) -> None:
        """End the threads after all admitted jobs."""
        self.batcher.close()
        for thread in self._threads:
            await asyncio.to_thread(thread.join)

    async def classify(
        self,
        model: OnnxClassifier,
        texts: Sequence[str],
        explain: Explain,
        wait_disconnect: Callable[[], Coroutine[Any, Any, None]] | None = None,
        client: Hashable = None,
    ) -> Job:
        """Classify the texts of one request; return a finished job with one outcome for each text.

        Cancelling the call drops the texts that did not run.

        Args:
            model: one of `models`.
            texts: at least one.
            explain: the outputs to compute.
            wait_disconnect: returns when the client has disconnected.
            client: the client that the texts count for; see `Scheduler`.

        Raises:
            QueueFull: the queue has no capacity for the texts.
            ClientDisconnected: `wait_disconnect` returned; texts that did not run are dropped.
        """
        loop = asyncio.get_running_loop()
        job = Job(model, texts, explain, client, loop.create_future())
        self.batcher.admit(job)
        watch = wait_disconnect and loop.call_later(
            DISCONNECT_CHECK_SECONDS, _watch_client, job, wait_disconnect
        )
        try:
            await job.future
        finally:
            if watch is not None:
                watch.cancel()
            if job.left:
                self.batcher.drop(job)
        return job

    def _run_batches(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run batches until the queue is closed: the body of each thread."""
        thread = threading.get_ident()
        while batch := self.batcher.take():
            self._batch_started[thread] = time.monotonic()
            report = run_batch(batch)
            del self._batch_started[thread]
            loop.call_soon_threadsafe(self._finish_batch, batch, report)
            del batch  # an idle thread must not keep requests in memory

    def _finish_batch(self, batch: list[Entry], report: BatchReport) -> None:
        classifier = batch[0][0].classifier
        key = f"{classifier.config.name}@{classifier.config.version}"
        if report.works is False and self.models.get(key) is classifier:
            self.failing.add(key)
        elif report.works:
            self.failing.discard(key)
        for job in dict.fromkeys(job for job, _ in batch):
            if not job.finished:
                job.queue_seconds = report.started - job.arrived
            job.tokenize_seconds += report.tokenize_seconds
            job.inference_seconds += report.inference_seconds
        for job, _ in batch:
            job.finished += 1
            if job.finished == len(job.texts) and not job.future.done():
                job.future.set_result(None)
        for run in report.runs:
            self.on_run(*run)


def warm_up(classifier: OnnxClassifier) -> None:
    """Classify in this thread, as `Engine.warm_up` does in those of the engine."""
    for texts in WARM_UP_TEXTS:
        classifier.predict(texts, "contributions")


def _as_table(models: Mapping[str, OnnxClassifier]) -> ModelTable[OnnxClassifier]:
    if isinstance(models, ModelTable):
        return models
    versions = {name: model.config.version for name, model in models.items()}
    ids = {ModelId(name, versions[name]): model for name, model in models.items()}
    return ModelTable(ids, versions)


def _watch_client(job: Job, wait_disconnect: Callable[[], Coroutine[Any, Any, None]]) -> None:
    def abandon(_: object) -> None:
        if not job.future.done():
            job.future.set_exception(ClientDisconnected())

    watching = asyncio.ensure_future(wait_disconnect())
    watching.add_done_callback(abandon)
    job.future.add_done_callback(lambda _: watching.cancel())
