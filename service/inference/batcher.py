"""The queue between the event loop and the inference threads: bounded in tokens, no timer.

A free thread takes what is waiting, up to a budget; while it runs, the next batch forms. An idle
server adds no wait, and a busy one batches by itself.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from heed.model.errors import TextError
from heed.model.inference.classifier import Explain, OnnxClassifier, Prediction
from heed.service.errors import QueueFull, ServiceError

NO_TEXT = 256
"""Bytes of a body that may be something else than text."""
SPARE = 16
"""A queue with less than one in so many of its tokens free is taken for full by large requests."""

Outcome = Prediction | TextError | ServiceError


@dataclass(slots=True)
class Stages:
    """Seconds that a job spent in each stage."""

    queue: float = 0.0
    tokenize: float = 0.0
    inference: float = 0.0


@dataclass(slots=True, eq=False)
class Job:
    """The texts of one request. Threads take from it in turns until none is left."""

    classifier: OnnxClassifier
    texts: Sequence[str]
    explain: Explain
    future: asyncio.Future[None]
    """Done when every text has its outcome, or when nobody waits any more. It does not hold
    the job: only the garbage collector could free what holds itself."""
    arrived: float = field(default_factory=time.perf_counter)
    stages: Stages = field(default_factory=Stages)
    outcomes: list[Outcome | None] = field(init=False)
    costs: list[int] = field(init=False)
    """Tokens of each text, as estimated before they are counted."""
    taken: int = 0
    finished: int = 0

    def __post_init__(self) -> None:
        self.outcomes = [None] * len(self.texts)
        limit = self.classifier.config.max_tokens
        self.costs = [estimate_tokens(text, limit) for text in self.texts]


Entry = tuple[Job, int]
"""A text: its job and its place there."""


class Batcher:
    """A thread-safe queue of jobs that hands out batches."""

    def __init__(self, max_tokens: int, budget: int) -> None:
        """Args:
        max_tokens: how many (estimated) tokens may wait.
        budget: how many a batch may have.
        """
        self.waiting = 0
        self._max_tokens = max_tokens
        self._budget = budget
        self._turn = max(1, budget // 8)
        self._jobs: deque[Job] = deque()
        self._lock = threading.Lock()
        self._closed = False
        # Locked while there is nothing to do: a condition's work without its cost.
        self._bell = threading.Lock()
        self._bell.acquire()

    def lacks_room(self, body: int) -> bool:
        """Whether a request will find no room, as its body's bytes tell before it is read.

        Four are taken for a token. That may be too few for a token, and long texts are cut, so a
        request is only refused unread by a queue that is all but full.
        """
        waiting = self.waiting  # which a thread may lower meanwhile
        tokens = max(1, min((body - NO_TEXT) // 4, self._max_tokens // SPARE))
        return waiting > 0 and waiting + tokens > self._max_tokens

    def put(self, job: Job) -> None:
        """Admit a job, or raise `QueueFull`. An empty queue admits a job of any size."""
        cost = sum(job.costs)
        with self._lock:
            if self.waiting and self.waiting + cost > self._max_tokens:
                raise queue_full()
            self.waiting += cost
            self._jobs.append(job)
            self._ring()

    def take(self) -> list[Entry]:
        """Wait for work and take a batch of one model; an empty list when the batcher has closed.

        Jobs take turns: each gives an eighth of a batch, then the next one does, and so on round
        until the batch is full. So a small request that waits is in the very next batch, however
        large the one before it.
        """
        while True:
            self._bell.acquire()
            with self._lock:
                batch = self._form_batch()
                if self._jobs or self._closed:
                    self._ring()
                if batch or (self._closed and not self._jobs):
                    return batch

    def close(self) -> None:
        """Let the threads end once the queue is empty."""
        with self._lock:
            self._closed = True
            self._ring()

    def _ring(self) -> None:
        """Wake one thread, which wakes the next if there is more; with the lock held."""
        if self._bell.locked():
            self._bell.release()

    def _form_batch(self) -> list[Entry]:
        batch: list[Entry] = []
        aside: list[Job] = []
        room = self._budget
        classifier: OnnxClassifier | None = None
        while self._jobs and room > 0:
            job = self._jobs.popleft()
            if job.future.done():  # its client has gone, or its time has passed
                self.waiting -= sum(job.costs[job.taken :])
                continue
            classifier = classifier or job.classifier
            if job.classifier is not classifier:
                aside.append(job)
                continue
            if batch and job.costs[job.taken] > room:  # it stays first in the queue
                aside.append(job)
                break
            room -= self._take_turn(job, batch, min(room, self._turn))
            if job.taken < len(job.texts):
                self._jobs.append(job)
        self._jobs.extendleft(reversed(aside))
        return batch

    def _take_turn(self, job: Job, batch: list[Entry], room: int) -> int:
        """Move texts of `job` into the batch: one, and more while they fit in `room`."""
        cost = 0
        while job.taken < len(job.texts):
            next_cost = job.costs[job.taken]
            if cost and cost + next_cost > room:
                break
            cost += next_cost
            batch.append((job, job.taken))
            job.taken += 1
        self.waiting -= cost
        return cost


def estimate_tokens(text: str, max_tokens: int) -> int:
    """How many tokens a text will have, guessed from its length, before it is tokenized."""
    return min(max_tokens, len(text) // 4 + 1 if text.isascii() else len(text))


def queue_full() -> QueueFull:
    """The refusal; a second is longer than a full queue takes to move on."""
    return QueueFull(
        "more text is waiting than --max-queue allows; try again", {"Retry-After": "1"}
    )
