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
from collections.abc import Callable, Collection
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


def share_counts(file: int, workers: int) -> memoryview:
    """Connections of each worker, in memory that all who map the same file share."""
    size = NUMBER_BYTES * workers
    os.truncate(file, size)
    return memoryview(mmap.mmap(file, size)).cast("q")


@dataclass(frozen=True)
class Turn:
    """Whose turn it is, as one worker sees it."""

    counts: memoryview
    """Connections of each worker, see `share_counts`."""
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
        self,
        listener: socket.socket,
        connections: Collection[object],
        make_protocol: Callable[[], asyncio.Protocol],
        turn: Turn,
    ) -> None:
        """Args:
        listener: bound, and shared by all workers.
        connections: those that are open, kept by others.
        make_protocol: for a new one, which calls `publish` once it is lost.
        turn: when to accept.
        """
        self._listener = listener
        self._connections = connections
        self._make_protocol = make_protocol
        self._turn = turn
        self._accepts = False
        self._connecting: set[asyncio.Task[None]] = set()

    def start(self, backlog: int) -> None:
        """Open the socket; up to `backlog` may wait to be accepted."""
        self._listener.setblocking(False)
        self._listener.listen(backlog)
        self._accepts = True
        self.publish()
        self._await()

    def stop(self) -> None:
        """Leave those who come to the other workers, or waiting."""
        self._accepts = False
        self.publish()
        asyncio.get_running_loop().remove_reader(self._listener)

    def close(self) -> None:
        """Accept until nobody waits, and close in the same breath."""
        with self._listener:
            while self._accept():
                pass

    def publish(self) -> None:
        """Tell the other workers how many connections this one has."""
        open_ = len(self._connections) + len(self._connecting)
        self._turn.tell(open_ if self._accepts else ABSENT)

    def _await(self) -> None:
        asyncio.get_running_loop().add_reader(self._listener, self._take_turn)

    def _take_turn(self) -> None:
        for _ in range(MOST_AT_ONCE):
            if not self._turn.is_ours():
                self._rest(TURN_SECONDS)
                return
            if not self._accept():
                return

    def _rest(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._listener)
        loop.call_later(seconds, self._resume)

    def _resume(self) -> None:
        """Accept whom the others have left waiting, then go on in turns."""
        if self._accepts:
            self._await()
            self._accept()

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
            self._rest(REST_SECONDS)
            return False
        task = asyncio.get_running_loop().create_task(self._connect(connection))
        self._connecting.add(task)
        task.add_done_callback(self._note_connected)
        self.publish()
        return True

    async def _connect(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(self._make_protocol, connection)
        except OSError:  # gone meanwhile
            connection.close()

    def _note_connected(self, task: asyncio.Task[None]) -> None:
        self._connecting.discard(task)
        self.publish()
