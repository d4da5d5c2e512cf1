"""Which worker takes a new connection: one that has the fewest.

All workers listen on one socket, so that nobody who waits is lost with a worker that dies. But
whichever wakes first would take all who wait: of four connections that came at once and stayed, one
of two workers had all four in three of ten tries, and the other core slept. And uvloop's own server
sleeps after each connection that it accepts, so that others may get one, even where there are none.
"""

import asyncio
import errno
import logging
import mmap
import os
import socket
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

log = logging.getLogger("heed")

TURN_SECONDS = 0.005
"""How long a worker with more connections leaves a new one to the others, who may be busy."""
MOST_AT_ONCE = 64
"""Accepted before those who have been are served again."""
REST_SECONDS = 1.0
"""Without accepting, where the system has no more files or memory for a connection."""
ABSENT = -1
"""Instead of a number of connections: a worker that accepts none."""
NUMBER_BYTES = 8
EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def counts_file(workers: int) -> int:
    """A descriptor of a file for `map_counts`; in memory where the system has such."""
    if hasattr(os, "memfd_create"):  # a container's disk may be read-only
        file = os.memfd_create("connections")
    else:
        with tempfile.TemporaryFile() as temporary:
            file = os.dup(temporary.fileno())
    os.truncate(file, NUMBER_BYTES * workers)
    return file


def map_counts(file: int) -> memoryview:
    """Connections of each worker, in memory that all who map the same file share."""
    return memoryview(mmap.mmap(file, 0)).cast("q")


@dataclass(frozen=True)
class Turn:
    """Whose turn it is, as one worker sees it."""

    counts: memoryview
    """Connections of each worker, see `map_counts`."""
    slot: int
    """The place of this worker in them."""

    def tell(self, connections: int) -> None:
        """Let the others know how many this one has; `ABSENT`: it accepts none."""
        self.counts[self.slot] = connections

    def is_ours(self) -> bool:
        """Unless another worker has fewer, by more than an eighth."""
        others = [n for slot, n in enumerate(self.counts) if slot != self.slot and n != ABSENT]
        return not others or self.counts[self.slot] <= min(others) * 9 // 8


class Acceptor:
    """Accepts connections for one worker, when it is its turn."""

    def __init__(
        self, listener: socket.socket, make_protocol: Callable[[], asyncio.Protocol], turn: Turn
    ) -> None:
        """Args:
        listener: bound, and shared by all workers.
        make_protocol: for a new connection; it calls `forget` once that is lost.
        turn: when to accept.
        """
        self._listener = listener
        self._make_protocol = make_protocol
        self._turn = turn
        self._open = 0
        self._accepts = False
        self._left = 1
        """To accept after the next rest: more each time, in case the others hang."""
        self._connecting: set[asyncio.Task[None]] = set()

    def start(self, backlog: int) -> None:
        """Open the socket; up to `backlog` may wait to be accepted."""
        self._listener.setblocking(False)
        self._listener.listen(backlog)
        self._accepts = True
        self._await()

    def stop(self) -> None:
        """Leave those who come to the other workers, or waiting."""
        self._accepts = False
        self._turn.tell(ABSENT)
        asyncio.get_running_loop().remove_reader(self._listener)

    def close(self) -> None:
        """Accept until nobody waits, and close in the same breath."""
        with self._listener, suppress(OSError):
            while self._accept():
                pass

    def forget(self) -> None:
        """Count a connection no more, which is lost."""
        self._count(-1)

    def _count(self, more: int) -> None:
        self._open += more
        if self._accepts:
            self._turn.tell(self._open)

    def _await(self) -> None:
        self._turn.tell(self._open)
        asyncio.get_running_loop().add_reader(self._listener, self._take_turn)

    def _take_turn(self) -> None:
        for _ in range(MOST_AT_ONCE):
            if not self._turn.is_ours():
                self._rest(TURN_SECONDS)
                return
            self._left = 1
            if not self._accept():
                return

    def _rest(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._listener)
        loop.call_later(seconds, self._resume)

    def _resume(self) -> None:
        """Accept some whom the others have left waiting, then go on in turns."""
        if not self._accepts:
            return
        self._await()
        for _ in range(self._left):
            if not self._accept():
                self._left = 1
                return
        self._left = min(2 * self._left, MOST_AT_ONCE)

    def _accept(self) -> bool:
        """Accept who has waited longest; whether there was anybody."""
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:
            return False
        except ConnectionAbortedError:  # gone already
            return True
        except OSError as error:
            if error.errno not in EXHAUSTED:
                raise
            log.error("no connection can be accepted: %s", error.strerror)
            self._turn.tell(ABSENT)
            self._rest(REST_SECONDS)
            return False
        self._count(1)
        task = asyncio.get_running_loop().create_task(self._connect(connection))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
        return True

    async def _connect(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(self._make_protocol, connection)
        except OSError:  # gone before there was a protocol
            connection.close()
            self.forget()
