"""A worker process as the supervisor sees it: start, metrics, answers, end."""

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Any, Self

from heed.service.metrics import Snapshot
from heed.service.process.channel import Channel, ChannelClosed
from heed.service.process.served_set import ServedSet, StoredBundle

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

    def __init__(
        self, process: asyncio.subprocess.Process, channel: Channel, descriptors: socket.socket
    ) -> None:
        self._process = process
        self.channel = channel
        self._descriptors = descriptors
        """Socket that passes descriptors to the worker."""
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
        cls, listener: socket.socket, table: int, served: ServedSet, options: dict[str, Any]
    ) -> Self:
        """Start a worker.

        Args:
            listener: the socket to listen on.
            table: descriptor of the shared table.
            served: what to serve.
            options: more options of the worker.

        Raises:
            OSError: the system cannot start a process now.
        """
        with ExitStack() as stack:
            ours, theirs = map(stack.enter_context, socket.socketpair())
            descriptors, their_descriptors = map(stack.enter_context, socket.socketpair())
            fds = (listener.fileno(), theirs.fileno(), their_descriptors.fileno(), table)
            options = options | {"fds": fds, "served": served.to_json()}
            # -P: a folder named `heed` in the current one must not be imported.
            # A process group of its own: ^C in a terminal must reach only the supervisor.
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "heed.service.process.worker", json.dumps(options)),
                pass_fds=(*fds, *(bundle.fd for bundle in served.bundles.values())),
                process_group=0,
                env=MALLOC | os.environ,
            )
            channel = await Channel.open(ours.dup())
            return cls(process, channel, descriptors.dup())

    def load(self, bundles: Sequence[StoredBundle]) -> asyncio.Future[Any]:
        """Have the worker load bundles. The reply says why it refuses one, by folder."""
        with suppress(OSError):  # it has ended, as the call will show
            for bundle in bundles:
                socket.send_fds(self._descriptors, [b"\0"], [bundle.fd])
        return self.channel.call("load", [bundle.to_json() for bundle in bundles])

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
        self._descriptors.close()
        return self._reason or self.rejection or f"it ended with status {status}"

    def _keep_metrics(self, call: asyncio.Future[Any]) -> None:
        self._calls.remove(call)
        if call.exception() is None:
            self.metrics = call.result()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self._process.send_signal(number)
