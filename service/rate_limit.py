"""Limit the requests a second of each client, over all workers.

A client that keeps its connection open always reaches the same worker. So a fixed share of each
worker would give it only a part of its rate. The workers therefore share one table.
"""

import fcntl
import hashlib
import os
import time
from collections.abc import Callable
from contextlib import suppress

SECRET_BYTES = 16
"""A random key of the hash, so that nobody can choose clients that share a slot."""
GROUPS = 8192
GROUP_SLOTS = 8
SLOTS = GROUPS * GROUP_SLOTS
TABLE_BYTES = SECRET_BYTES + SLOTS * 16
"""Size of the table: the secret, then the hashes, then the times of all clients."""
BURST_SECONDS = 2.0
"""A client that has paused may send the requests of this time at once."""
LOCK_TRIES = 100


class RateLimiter:
    """The generic cell rate algorithm (ITU-T I.371): a token bucket with one time per client.

    The time of a client is the one at which its bucket is full again. A client without a slot has a
    full bucket. If more clients are active than the table has slots, some get a full bucket early.
    """

    def __init__(
        self,
        rate: float,
        table: memoryview | None = None,
        file: int | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Args:
        rate: requests a second.
        table: `TABLE_BYTES` of zeros behind a random secret; None: a table of this process.
        file: descriptor of the table's file, for locks; None: no other process uses it.
        clock: returns seconds; all processes must have the same clock.
        """
        self.rate = rate
        if table is None:
            table = memoryview(bytearray(TABLE_BYTES))
            table[:SECRET_BYTES] = os.urandom(SECRET_BYTES)
        middle = SECRET_BYTES + SLOTS * 8
        self._secret = bytes(table[:SECRET_BYTES])
        self._hashes = table[SECRET_BYTES:middle].cast("Q")
        self._times = table[middle:TABLE_BYTES].cast("d")
        self._file = file
        self._clock = clock
        self._interval = 1 / rate
        self._tolerance = max(BURST_SECONDS - self._interval, 0.0)

    def admit(self, client: bytes) -> float:
        """Count a request of a client if it is admitted.

        Returns:
            0 if it is admitted, otherwise the seconds after which the next one will be.
        """
        digest = hashlib.blake2b(client, digest_size=8, key=self._secret).digest()
        number = int.from_bytes(digest) or 1  # 0 is an empty slot
        group = number % GROUPS
        locked = self._lock(group)
        try:
            now = self._clock()
            slot = self._find_slot(number, group * GROUP_SLOTS)
            full = max(self._times[slot], now) if self._hashes[slot] == number else now
            wait = full - now - self._tolerance
            if wait > 1e-6:  # less is rounding
                return wait
            self._hashes[slot], self._times[slot] = number, full + self._interval
            return 0.0
        finally:
            if locked and self._file is not None:
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, group)

    def _find_slot(self, number: int, first: int) -> int:
        """Return the slot of a client, else the one of its group whose bucket is full first."""
        slots = range(first, first + GROUP_SLOTS)
        for slot in slots:
            if self._hashes[slot] == number:
                return slot
        return min(slots, key=self._times.__getitem__)

    def _lock(self, group: int) -> bool:
        """Lock a group; False if another worker has kept it, because it was suspended meanwhile.

        Then two requests at the same time may count as one. To wait would stop this worker.
        """
        if self._file is None:
            return False
        for _ in range(LOCK_TRIES):
            with suppress(BlockingIOError, PermissionError):
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, group)
                return True
            os.sched_yield()  # the holder may wait for this processor
        return False
