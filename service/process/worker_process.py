"""A worker process as the supervisor sees it: start, metrics, answers, end."""

import asyncio
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Self

from heed.service.metrics import Snapshot
from heed.service.process.channel import Channel, ChannelClosed

log = logging.getLogger("heed")

MAX_CALLS = 16
"""Calls for metrics that may wait for a reply."""
PING_SECONDS = 5.0
"""Pause between two checks that a worker answers."""
MAX_START_SECONDS = 600.0
"""Time that a worker may take to load the bundles."""
MALLOC = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": str(1 << 20)}
"""Environment that makes glibc return the memory of large requests: 30 MB less in a long run."""


class WorkerProcess:
    """A running worker process."""

    def __init__(self, process: asyncio.subprocess.Process, channel: Channel) -> None:
        self._process = process
        self.channel = channel
        self.pid = process.pid
        self.listening = False
        """Whether it has verified the bundles and listens on the socket."""
        self.rejection: str | None = None
        """Why it cannot serve, in a sentence for the user."""
        self._reason: str | None = None
        """Why it was killed."""
        self.metrics: Snapshot = []
        """Its latest known metrics."""
        self._calls: list[asyncio.Future[Any]] = []
        """Calls for metrics without a reply, the oldest first."""

    @classmethod
    async def start(
        cls, listener: socket.socket, table: int, options: dict[str, Any], fds: Sequence[int]
    ) -> Self:
        """Start a worker.

        Args:
            listener: the socket to listen on.
            table: descriptor of the shared table.
            options: more options of the worker.
            fds: descriptors that the worker inherits, too.

        Raises:
            OSError: the system cannot start a process now.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            inherited = (listener.fileno(), theirs.fileno(), table)
            try:
                # -P: a folder named `heed` in the current one must not be imported.
                # A process group of its own: ^C in a terminal must reach only the supervisor.
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-P", "-m", "heed.service.process.worker"),
                    json.dumps(options | {"fds": inherited}),
                    pass_fds=(*inherited, *fds),
                    process_group=0,
                    env=MALLOC | os.environ,
                )
            except OSError:
                ours.close()
                raise
        return cls(process, await Channel.open(ours))

    def request_metrics(self) -> asyncio.Future[Any]:
        """Call for the metrics; return the call. A worker that is silent gets only a few."""
        if len(self._calls) == MAX_CALLS:
            return self._calls[-1]
        call = self.channel.call("metrics")
        self._calls.append(call)
        call.add_done_callback(self._keep_metrics)
        return call

    async def kill_if_hung(self, max_seconds: float) -> None:
        """Kill the worker if it does not answer. Returns when it has ended.

        Args:
            max_seconds: time that it may take to answer once it listens.
        """
        while True:
            call, silent = self.request_metrics(), 0.0
            # Seconds are counted one by one, because the whole machine may have been paused.
            while not (await asyncio.wait([call], timeout=1.0))[0]:
                silent += 1.0
                if silent > (max_seconds if self.listening else MAX_START_SECONDS):
                    self.kill(f"it did not answer for {silent:g} s")
                    return
            try:
                call.result()
            except ChannelClosed:
                return
            await asyncio.sleep(PING_SECONDS)

    def stop(self) -> None:
        """Ask it to answer what it has accepted and to end."""
        self.channel.send("stop")
        if not self.listening:  # it reads no message while it loads the bundles
            self._signal(signal.SIGTERM)

    def kill(self, reason: str) -> None:
        """End it at once."""
        self._reason = reason
        self._signal(signal.SIGKILL)

    async def wait(self) -> str:
        """Wait for its end; return why it ended."""
        status = await self._process.wait()
        return self._reason or self.rejection or f"it ended with status {status}"

    def _keep_metrics(self, call: asyncio.Future[Any]) -> None:
        self._calls.remove(call)
        if call.exception() is None:
            self.metrics = call.result()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self._process.send_signal(number)
