"""Messages between the supervisor and a worker: JSON, one a line, over a socket pair."""

import asyncio
import itertools
import json
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Self

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""The metrics of many models and workers stay far below."""
REPLY = "reply"


class ChannelClosed(Exception):
    """The peer ended before its reply."""


class Channel:
    """One end of the pair: sends messages, and calls that return the peer's reply.

    A message is `[kind, number, content]`. A call has a number, and its reply has the same one.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._numbers = itertools.count()
        self._calls: dict[int, asyncio.Future[Any]] = {}
        """Calls without a reply, by number."""
        self._replying: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(cls, end: socket.socket) -> Self:
        """Return a channel that owns a connected socket."""
        return cls(*await asyncio.open_connection(sock=end, limit=MAX_MESSAGE_BYTES))

    def send(self, kind: str, content: Any = None) -> None:
        """Send a message. It is dropped if the peer has ended."""
        self._send(kind, None, content)

    def call(self, kind: str, content: Any = None) -> asyncio.Future[Any]:
        """Send a call. Returns a future of the reply, which raises `ChannelClosed` without one."""
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._writer.is_closing():
            reply.set_exception(ChannelClosed())
            return reply
        number = next(self._numbers)
        self._calls[number] = reply
        self._send(kind, number, content)
        return reply

    async def serve(
        self,
        on_call: Callable[[str, Any], Awaitable[Any]],
        on_message: Callable[[str, Any], None],
    ) -> None:
        """Handle the peer's calls and messages until it ends.

        Args:
            on_call: returns the reply to a call of that kind, with that content.
            on_message: handles a message of that kind, with that content.
        """
        try:
            while line := await self._reader.readline():
                kind, number, content = json.loads(line)
                if number is None:
                    on_message(kind, content)
                elif kind == REPLY:
                    reply = self._calls.pop(number)
                    if not reply.done():
                        reply.set_result(content)
                else:
                    task = asyncio.create_task(self._reply(number, on_call(kind, content)))
                    self._replying.add(task)
                    task.add_done_callback(self._replying.discard)
        except (ConnectionError, ValueError):  # ended, perhaps in the middle of a line
            pass
        self._writer.close()
        for reply in self._calls.values():
            if not reply.done():
                reply.set_exception(ChannelClosed())
                reply.exception()  # no warning if nobody waits for it
        self._calls.clear()

    async def _reply(self, number: int, answer: Awaitable[Any]) -> None:
        self._send(REPLY, number, await answer)

    def _send(self, kind: str, number: int | None, content: Any) -> None:
        if not self._writer.is_closing():
            self._writer.write(encode(kind, content, number))


def encode(kind: str, content: Any = None, number: int | None = None) -> bytes:
    """Return the bytes of a message."""
    return json.dumps([kind, number, content]).encode() + b"\n"
