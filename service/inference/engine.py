"""The engine: tokenize, batch, run, hand back. Its threads are the only ones that run a network."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from model.bundle import find_bundles
from model.classifier import BATCH_TOKENS, Classifier, Explain
from model.errors import BundleError, InferenceError, TextError
from model.tokenizer import Encoding, length_batches
from service.errors import ClientGone, DeadlineExceeded, InferenceDown, InferenceFailed, InternalError
from service.inference.batcher import Batcher, Entry, Job
from service.settings import Settings

log = logging.getLogger("heed")

WARM_TEXT = "A text to warm up with."


@dataclass(slots=True)
class BatchReport:
    """What one run of the network did, for the metrics."""

    model: str
    texts: int
    tokens: int
    computed: int
    """Tokens with padding."""


class Engine:
    """Verified bundles behind one queue. Start it in the lifespan; `classify` from the event loop."""

    def __init__(
        self, models: dict[str, Classifier], default: str | None, max_queue: int, runners: int = 1
    ) -> None:
        self.models = models
        self.default = default
        self.batcher = Batcher(max_queue, BATCH_TOKENS)
        self.down = False
        """Set after inference itself has failed, cleared when it succeeds again."""
        self.on_batch: Callable[[BatchReport], None] = lambda _: None
        self._threads = [
            threading.Thread(target=self._serve, name=f"inference-{i}", daemon=True) for i in range(runners)
        ]
        self._loop: asyncio.AbstractEventLoop | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> "Engine":
        """Load and verify the bundles. Raises `BundleError` or `DeviceError`."""
        bundles = find_bundles(settings.bundles)
        models = {
            name: Classifier(bundle, settings.device, settings.threads) for name, bundle in bundles.items()
        }
        default = settings.default_model or ("sentiment" if "sentiment" in models else None)
        if default is None and len(models) == 1:
            (default,) = models
        if default is not None and default not in models:
            raise BundleError(f"--default-model {default}: no such bundle; there are {', '.join(models)}")
        on_gpu = any(model.provider != "CPUExecutionProvider" for model in models.values())
        return cls(models, default, settings.max_queue, runners=2 if on_gpu else 1)

    async def start(self) -> None:
        """Start the threads."""
        self._loop = asyncio.get_running_loop()
        for thread in self._threads:
            thread.start()

    async def warm_up(self) -> None:
        """Classify with every model, in the threads that will serve."""
        for model in self.models.values():
            for texts in ([WARM_TEXT], [WARM_TEXT] * 8):
                await self.classify(model, texts, "contributions", timeout=300.0)

    async def stop(self) -> None:
        """End the threads once all that was accepted is answered."""
        self.batcher.close()
        for thread in self._threads:
            await asyncio.to_thread(thread.join)

    def submit(self, model: Classifier, texts: Sequence[str], explain: Explain) -> Job:
        """Queue the texts of one request; `job.future` is done when all have their outcome.

        Raises:
            QueueFull: as much waits as may wait.
        """
        assert self._loop is not None, "the engine was not started"
        job = Job(model, texts, explain, self._loop.create_future())
        self.batcher.put(job)
        return job

    async def classify(
        self,
        model: Classifier,
        texts: Sequence[str],
        explain: Explain,
        timeout: float,
        hang_up: asyncio.Future[None] | None = None,
    ) -> Job:
        """`submit`, and wait for the outcomes at most `timeout` seconds.

        When `hang_up` is done, nobody waits any more and what was not yet run is dropped.

        Raises:
            DeadlineExceeded: the time passed; what was not yet run is dropped.
            ClientGone: `hang_up` was done first.
        """
        job = self.submit(model, texts, explain)
        assert self._loop is not None
        timer = self._loop.call_later(timeout, _expire, job)
        if hang_up is not None:
            hang_up.add_done_callback(lambda _: _abandon(job))
        try:
            return await job.future
        finally:
            timer.cancel()

    def _serve(self) -> None:
        while batch := self.batcher.take():
            try:
                self._process(batch)
            except Exception:
                log.exception("a batch failed for a reason that is a bug")
                for job, place in batch:
                    if job.outcomes[place] is None:
                        job.outcomes[place] = InternalError("something broke here; it was logged")
            self._hand_back(batch)

    def _process(self, batch: list[Entry]) -> None:
        started = time.perf_counter()
        encodings = [self._encode(job, place) for job, place in batch]
        tokenized = time.perf_counter()
        readable = [i for i, encoding in enumerate(encodings) if encoding is not None]
        lengths = [len(encodings[i].ids) for i in readable]  # type: ignore[union-attr]
        for group in length_batches(lengths, BATCH_TOKENS):
            places = [readable[i] for i in group]
            self._run([batch[i] for i in places], [encodings[i] for i in places])  # type: ignore[misc]
        ended = time.perf_counter()
        for job in {job for job, _ in batch}:
            if not job.finished:
                job.stages.queue = started - job.arrived
            job.stages.tokenize += tokenized - started
            job.stages.inference += ended - tokenized

    def _encode(self, job: Job, place: int) -> Encoding | None:
        try:
            return job.classifier.encode(job.texts[place])
        except TextError as error:
            job.outcomes[place] = error
        except BaseException as error:  # a panic of the tokenizer is not an Exception
            log.error("the tokenizer failed: %s", error)
            job.outcomes[place] = InferenceFailed("this text cannot be tokenized")
        return None

    def _run(self, entries: list[Entry], encodings: list[Encoding]) -> None:
        classifier = entries[0][0].classifier
        explain = max((job.explain for job, _ in entries), key=("none", "attention", "contributions").index)
        try:
            predictions = classifier.run(encodings, explain)
        except InferenceError as error:
            self._run_alone(entries, encodings, error)
            return
        self.down = False
        for (job, place), prediction in zip(entries, predictions, strict=True):
            job.outcomes[place] = prediction
        lengths = [len(encoding.ids) for encoding in encodings]
        report = BatchReport(classifier.config.name, len(lengths), sum(lengths), len(lengths) * max(lengths))
        self.on_batch(report)

    def _run_alone(self, entries: list[Entry], encodings: list[Encoding], error: InferenceError) -> None:
        """Try each text of a failed batch alone, so that one bad text cannot fail its neighbours."""
        if len(entries) > 1:
            for entry, encoding in zip(entries, encodings, strict=True):
                self._run([entry], [encoding])
            return
        job, place = entries[0]
        log.warning("%s: inference failed for a text: %s", job.classifier.config.name, error)
        self.down = not self._answers(job.classifier)
        job.outcomes[place] = (
            InferenceDown("nothing can be classified at present")
            if self.down
            else InferenceFailed("the network gave no usable answer for this text")
        )

    @staticmethod
    def _answers(classifier: Classifier) -> bool:
        """Whether the network still classifies a plain text."""
        try:
            classifier.run([classifier.encode(WARM_TEXT)], "none")
        except (InferenceError, TextError):
            return False
        return True

    def _hand_back(self, batch: list[Entry]) -> None:
        ready = []
        for job, _ in batch:
            job.finished += 1
            if job.finished == len(job.texts):
                ready.append(job)
        if ready:
            assert self._loop is not None
            self._loop.call_soon_threadsafe(_resolve, ready)


def _resolve(jobs: list[Job]) -> None:
    for job in jobs:
        if not job.future.done():
            job.future.set_result(job)


def _expire(job: Job) -> None:
    if not job.future.done():
        job.future.set_exception(DeadlineExceeded("the answer took longer than --timeout allows"))


def _abandon(job: Job) -> None:
    if not job.future.done():
        job.future.set_exception(ClientGone())
