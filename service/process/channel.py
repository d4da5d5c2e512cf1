"""Messages between the supervisor and its workers: JSON, one a line, over a socket pair."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from typing import Any, Self

LIMIT = 64 * 1024 * 1024
"""Bytes of a message; metrics of many models and workers stay far below."""


class Channel:
    """One end of the pair, once the event loop runs."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, end: socket.socket) -> Self:
        """Take over a connected socket."""
        return cls(*await asyncio.open_connection(sock=end, limit=LIMIT))

    def send(self, kind: str, content: Any = None) -> None:
        """Send a message; one to a peer that has gone is dropped."""
        if not self._writer.is_closing():
            self._writer.write(message(kind, content))

    async def messages(self) -> AsyncIterator[tuple[str, Any]]:
        """What the peer sends, until it goes."""
        try:
            while line := await self._reader.readline():
                kind, content = json.loads(line)
                yield kind, content
        except (ConnectionError, ValueError):  # gone, perhaps in the middle of a line
            return

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


def message(kind: str, content: Any = None) -> bytes:
    """Write a message, for `Channel` or for a bare socket."""
    return json.dumps([kind, content]).encode() + b"\n"
