"""The queue between the event loop and the inference threads: bounded in tokens, no timer.

A free thread takes what is waiting, up to a budget. While it runs, the next batch forms. An idle
server adds no delay, and a busy one batches by itself.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from heed.model.errors import TextError
from heed.model.inference import Explain, OnnxClassifier, Prediction
from heed.service.errors import QueueFull, ServiceError

SHARES_OF_BATCH = 8
"""A job gives at most one in so many of a batch's tokens before the next job has its share."""

Outcome = Prediction | TextError | ServiceError


@dataclass(slots=True, eq=False)
class Job:
    """The texts of one request, in the queue and on their way through the network."""

    classifier: OnnxClassifier
    texts: Sequence[str]
    explain: Explain
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
    taken: int = 0
    """Texts that are in a batch or finished."""
    finished: int = 0

    def __post_init__(self) -> None:
        self.outcomes = [None] * len(self.texts)
        limit = self.classifier.config.max_tokens
        self.costs = [estimate_tokens(text, limit) for text in self.texts]


Entry = tuple[Job, int]
"""A text: its job and its index there."""


class Batcher:
    """A thread-safe queue of jobs that forms batches."""

    def __init__(self, max_tokens: int, budget: int) -> None:
        """Args:
        max_tokens: estimated tokens that may wait.
        budget: estimated tokens of a batch.
        """
        self.waiting = 0
        """Estimated tokens in the queue."""
        self._max_tokens = max_tokens
        self._budget = budget
        self._share = max(1, budget // SHARES_OF_BATCH)
        self._jobs: deque[Job] = deque()
        self._lock = threading.Lock()
        self._closed = False
        # Locked while there is no work; a threading.Condition would take several times as long.
        self._idle = threading.Lock()
        self._idle.acquire()

    def check_capacity(self, tokens: int = 1) -> None:
        """Raise `QueueFull` if so many tokens do not fit. An empty queue takes any number."""
        if self.waiting and self.waiting + tokens > self._max_tokens:
            raise QueueFull(  # one second is longer than a full queue needs to move on
                "the queue is full (--max-queue); send the request again", {"Retry-After": "1"}
            )

    def admit(self, job: Job) -> None:
        """Add a job to the queue, or raise `QueueFull`."""
        cost = sum(job.costs)
        with self._lock:
            self.check_capacity(cost)
            self.waiting += cost
            self._jobs.append(job)
            self._wake_thread()

    def take(self) -> list[Entry]:
        """Wait for work and return a batch of one model; an empty list once the queue is closed.

        Jobs take turns: each adds its share of the batch, then the next one does, until the batch
        is full. So the next batch includes a small job, however large the job before it.
        """
        while True:
            self._idle.acquire()
            with self._lock:
                batch = self._form_batch()
                if self._jobs or self._closed:
                    self._wake_thread()
                if batch or (self._closed and not self._jobs):
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

    def _form_batch(self) -> list[Entry]:
        batch: list[Entry] = []
        skipped: list[Job] = []
        remaining = self._budget
        classifier: OnnxClassifier | None = None
        while self._jobs and remaining > 0:
            job = self._jobs.popleft()
            if job.future.done():  # the client has disconnected, or the deadline has passed
                self.waiting -= sum(job.costs[job.taken :])
                continue
            classifier = classifier or job.classifier
            if job.classifier is not classifier:
                skipped.append(job)
                continue
            if batch and job.costs[job.taken] > remaining:  # it stays first in the queue
                skipped.append(job)
                break
            remaining -= self._take_share(job, batch, min(remaining, self._share))
            if job.taken < len(job.texts):
                self._jobs.append(job)
        self._jobs.extendleft(reversed(skipped))
        return batch

    def _take_share(self, job: Job, batch: list[Entry], share: int) -> int:
        """Move at least one text into the batch, and more while they fit; return their tokens."""
        cost = 0
        while job.taken < len(job.texts):
            next_cost = job.costs[job.taken]
            if cost and cost + next_cost > share:
                break
            cost += next_cost
            batch.append((job, job.taken))
            job.taken += 1
        self.waiting -= cost
        return cost


def estimate_tokens(text: str, max_tokens: int) -> int:
    """Return the number of tokens, estimated from the text's length without tokenizing it."""
    return min(max_tokens, len(text) // 4 + 1 if text.isascii() else len(text))
