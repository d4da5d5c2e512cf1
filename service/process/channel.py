"""Messages between the supervisor and a worker: JSON, one a line, over a socket pair."""

import asyncio
import json
import socket
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Self

MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""The metrics of many models and workers stay far below."""
CALL, REPLY = "call", "reply"


class Channel:
    """One end of the pair: sends messages, and calls that return the peer's reply."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._calls: deque[asyncio.Future[Any]] = deque()
        """Calls without a reply. A call that timed out stays until its reply is here."""
        self._replying: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(cls, end: socket.socket) -> Self:
        """Return a channel that owns a connected socket."""
        return cls(*await asyncio.open_connection(sock=end, limit=MAX_MESSAGE_BYTES))

    def send(self, kind: str, content: Any = None) -> None:
        """Send a message. It is dropped if the peer has ended."""
        if not self._writer.is_closing():
            self._writer.write(encode(kind, content))

    async def call(self, seconds: float) -> Any:
        """Return what the peer replies; raises `TimeoutError`."""
        reply: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._calls.append(reply)
        self.send(CALL)
        return await asyncio.wait_for(reply, seconds)

    async def serve(
        self,
        on_call: Callable[[], Awaitable[Any]],
        on_message: Callable[[str, Any], None] = lambda _, __: None,
    ) -> None:
        """Handle the peer's calls and messages until it ends."""
        try:
            while line := await self._reader.readline():
                kind, content = json.loads(line)
                if kind == CALL:
                    task = asyncio.create_task(self._reply(on_call))
                    self._replying.add(task)
                    task.add_done_callback(self._replying.discard)
                elif kind == REPLY:
                    reply = self._calls.popleft()
                    if not reply.done():
                        reply.set_result(content)
                else:
                    on_message(kind, content)
        except (ConnectionError, ValueError):  # ended, perhaps in the middle of a line
            pass
        self._writer.close()

    async def _reply(self, on_call: Callable[[], Awaitable[Any]]) -> None:
        self.send(REPLY, await on_call())


def encode(kind: str, content: Any = None) -> bytes:
    """Return the bytes of a message."""
    return json.dumps([kind, content]).encode() + b"\n"
