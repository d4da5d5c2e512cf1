"""The queue between the event loop and the inference threads: bounded in tokens, no timer.

A free thread takes what is waiting, up to a budget. While it runs, the next batch forms. An idle
server adds no delay, and a busy one batches by itself.
"""

import asyncio
import threading
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from heed.model.errors import TextError
from heed.model.inference import Explain, OnnxClassifier, Prediction
from heed.service.errors import QueueFull, ServiceError
from heed.service.inference.scheduler import Scheduler

Outcome = Prediction | TextError | ServiceError


@dataclass(slots=True, eq=False)
class Job:
    """The texts of one request, in the queue and on their way through the network."""

    classifier: OnnxClassifier
    texts: Sequence[str]
    explain: Explain
    client: Hashable
    """The client that the job counts for; see `Scheduler`."""
    future: asyncio.Future[None]
    """Done when every text has its outcome, or when no client waits any more. It does not refer to
    the job: only the garbage collector could free a reference cycle."""
    arrived: float = field(default_factory=time.perf_counter)
    queue_seconds: float = 0.0
    tokenize_seconds: float = 0.0
    inference_seconds: float = 0.0
    outcomes: list[Outcome | None] = field(init=False)
    costs: list[int] = field(init=False)
    """Estimated tokens of each text."""
    order: Sequence[int] = field(init=False)
    """The indices of the texts by length, so that texts of similar length share a run."""
    taken: int = 0
    """Texts that are in a batch or finished."""
    left: int = 0
    """Estimated tokens of the texts that wait."""
    finished: int = 0

    def __post_init__(self) -> None:
        self.outcomes = [None] * len(self.texts)
        limit = self.classifier.config.max_tokens
        self.costs = costs = [estimate_tokens(text, limit) for text in self.texts]
        self.order = (0,) if len(costs) == 1 else sorted(range(len(costs)), key=costs.__getitem__)


Entry = tuple[Job, int]
"""A text: its job and its index there."""


class Batcher:
    """A thread-safe `Scheduler`: the event loop adds jobs, the inference threads take batches."""

    def __init__(self, scheduler: Scheduler[Job]) -> None:
        """Use a scheduler that nobody else uses."""
        self._scheduler = scheduler
        self._lock = threading.Lock()
        self._closed = False
        # Locked while there is no work; a threading.Condition would take several times as long.
        self._idle = threading.Lock()
        self._idle.acquire()

    @property
    def waiting(self) -> int:
        """Estimated tokens in the queue."""
        return self._scheduler.waiting

    def has_capacity(self, client: Hashable) -> bool:
        """Return whether a request of this client would be admitted now."""
        return self._scheduler.has_capacity(client)

    def admit(self, job: Job) -> None:
        """Add a job to the queue, or raise `QueueFull`."""
        with self._lock:
            if not self._scheduler.put(job):
                raise QueueFull
            self._wake_thread()

    def drop(self, job: Job) -> None:
        """Remove what still waits of a job."""
        with self._lock:
            self._scheduler.remove(job)

    def take(self) -> list[Entry]:
        """Wait for work and return a batch; an empty list once the queue is closed and empty."""
        while True:
            self._idle.acquire()
            with self._lock:
                batch = self._scheduler.take()
                if self._scheduler.waiting or self._closed:
                    self._wake_thread()
                if batch or self._closed:
                    return batch

    def close(self) -> None:
        """Let the threads end once the queue is empty."""
        with self._lock:
            self._closed = True
            self._wake_thread()

    def _wake_thread(self) -> None:
        """Wake one thread, which wakes the next if there is more; call it with the lock held."""
        if self._idle.locked():
            self._idle.release()


def estimate_tokens(text: str, max_tokens: int) -> int:
    """Return the number of tokens, estimated from the text's length without tokenizing it."""
    return min(max_tokens, len(text) // 4 + 1 if text.isascii() else len(text))
