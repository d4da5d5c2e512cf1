"""Accept connections so that all workers have about the same number.

All workers listen on one socket, so a connection that waits is kept if a worker ends. But the
first worker to wake up would accept all that wait: in three of ten tries one of two workers had all
four keep-alive connections. So a worker leaves new connections to those that have fewer.
"""

import asyncio
import ctypes
import logging
import socket
import struct
from collections.abc import Callable
from contextlib import suppress

from heed.service.process.shared_table import NOT_ACCEPTING, SharedTable

log = logging.getLogger("heed")

DEFER_SECONDS = 0.005
"""Time for workers with fewer connections to accept one; they may be busy."""
ACCEPTS_AFTER_DEFER = 4
"""Connections that a worker then accepts even if others have fewer, because others may hang."""
RETRY_SECONDS = 1.0
"""Pause after the system had no file descriptor or memory for a connection."""
HANDSHAKE_SECONDS = 0.1
"""Time for connections that are being made when the socket stops to take new ones."""
SO_ATTACH_FILTER = 26
"""Socket option of Linux; the `socket` module has no name for it."""
DROP_SYN = (
    (0x30, 0, 0, 13),  # load the byte of a TCP header that has the flags
    (0x45, 0, 1, 0x02),  # skip the next instruction unless SYN is set
    (0x06, 0, 0, 0),  # drop the packet
    (0x06, 0, 0, 0xFFFFFFFF),  # keep the packet
)
"""A classic BPF program that drops the first packet of each new connection."""


class Acceptor:
    """Accepts connections for one worker."""

    def __init__(
        self,
        listener: socket.socket,
        make_protocol: Callable[[], asyncio.Protocol],
        table: SharedTable,
        slot: int,
    ) -> None:
        """Args:
        listener: listening, and shared by all workers.
        make_protocol: for a new connection; it calls `remove` when the connection has ended.
        table: the numbers of connections of all workers.
        slot: index of this worker there.
        """
        self._listener = listener
        self._make_protocol = make_protocol
        self._counts = table.connections
        self._slot = slot
        self._connections = 0
        self._accepting = False
        self._connecting: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Begin to accept."""
        self._accepting = True
        self._watch_listener()

    def leave(self) -> None:
        """Close the socket here, and leave connections in the backlog to the other workers."""
        self._stop()
        self._listener.close()

    async def close(self) -> None:
        """Accept every connection that has been made, then close the socket.

        The socket drops new connection attempts first. Otherwise a connection that is made between
        the last `accept` and `close` would be reset. The client's system tries again after a
        second, and the attempt is refused then.
        """
        drop_new_connections(self._listener)
        await asyncio.sleep(HANDSHAKE_SECONDS)
        self._stop()
        with self._listener, suppress(OSError):
            while self._accept():
                pass
        await asyncio.gather(*self._connecting)

    def remove(self) -> None:
        """Count one connection less."""
        self._add(-1)

    def _stop(self) -> None:
        self._accepting = False
        self._counts[self._slot] = NOT_ACCEPTING
        asyncio.get_running_loop().remove_reader(self._listener)

    def _add(self, number: int) -> None:
        self._connections += number
        if self._accepting:
            self._counts[self._slot] = self._connections

    def _watch_listener(self) -> None:
        self._add(0)
        asyncio.get_running_loop().add_reader(self._listener, self._accept_or_defer)

    def _accept_or_defer(self) -> None:
        """Accept one connection, or pause if another worker has fewer by more than an eighth."""
        fewest = min(n for n in self._counts if n != NOT_ACCEPTING)
        if self._connections > fewest * 9 // 8:
            self._pause(DEFER_SECONDS)
        else:
            self._accept()

    def _pause(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._listener)
        loop.call_later(seconds, self._resume)

    def _resume(self) -> None:
        if self._accepting:
            self._watch_listener()
            for _ in range(ACCEPTS_AFTER_DEFER):
                if not self._accept():
                    break

    def _accept(self) -> bool:
        """Accept the connection that has waited longest; False if there is none."""
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:
            return False
        except ConnectionAbortedError:  # the client has disconnected already
            return True
        except OSError as error:  # no file descriptor or memory left
            log.error("cannot accept a connection: %s", error.strerror)
            self._counts[self._slot] = NOT_ACCEPTING
            self._pause(RETRY_SECONDS)
            return False
        self._add(1)
        task = asyncio.get_running_loop().create_task(self._connect(connection))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)
        return True

    async def _connect(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                self._make_protocol, connection
            )
        except OSError:  # the client disconnected before there was a protocol
            connection.close()
            self.remove()


def drop_new_connections(listener: socket.socket) -> None:
    """Make a listening socket ignore new connection attempts, in all processes that share it.

    Connections that exist are not affected. Systems without socket filters ignore the call.
    """
    program = b"".join(struct.pack("HBBI", *instruction) for instruction in DROP_SYN)
    buffer = ctypes.create_string_buffer(program)
    with suppress(OSError):
        listener.setsockopt(
            socket.SOL_SOCKET,
            SO_ATTACH_FILTER,
            struct.pack("HP", len(DROP_SYN), ctypes.addressof(buffer)),
        )
