"""The parent of the workers: binds the socket, starts, replaces and stops them, sums metrics.

It loads no model. It binds the socket at once, but a worker listens on it only after it has
verified every bundle. So a rejected bundle ends the command before any client can connect.
"""

import asyncio
import functools
import json
import logging
import os
import resource
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from heed.model.errors import HeedError
from heed.service.metrics import Snapshot, add_up, without_gauges
from heed.service.process.channel import Channel
from heed.service.process.cpu_limit import warn_if_oversubscribed
from heed.service.process.logs import start_logging
from heed.service.process.shared_table import NOT_ACCEPTING, SharedTable
from heed.service.settings import Settings, SettingsError, cannot_listen, unknown_variables

log = logging.getLogger("heed")

METRICS_SECONDS = 2.0
"""Time that a worker may take to reply with its metrics."""
RESTART_SECONDS = 1.0
"""Minimum time between two starts of the same worker."""
GRACE_SECONDS = 5.0
"""Time that a worker may take to end, in addition to the drain and to --timeout."""
MALLOC = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": str(1 << 20)}
"""Environment that makes glibc return the memory of large requests: 30 MB less in a long run."""
MAX_OPEN_FILES = 65536


@dataclass
class Worker:
    """A running worker process, as the supervisor sees it."""

    process: asyncio.subprocess.Process
    channel: Channel
    started: float = field(default_factory=time.monotonic)
    rejection: str | None = None
    """Why it cannot serve, in a sentence for the user."""
    metrics: Snapshot = field(default_factory=list)
    """Its latest known metrics."""

    async def update_metrics(self) -> None:
        """Fetch the metrics; without a reply in time, keep the counters and drop the gauges."""
        try:
            self.metrics = await self.channel.call(METRICS_SECONDS)
        except TimeoutError:
            self.metrics = without_gauges(self.metrics)


def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; return the exit status, 1 if a request may be unanswered.

    Raises:
        HeedError: the address is not available, or a worker rejects a bundle or a setting.
    """
    start_logging(settings.log_level)
    for warning in unknown_variables(os.environ):
        log.warning("%s", warning)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)  # each connection is an open file
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, MAX_OPEN_FILES)), hard))
    with _bind(settings) as listener:
        return asyncio.run(Supervisor(settings, listener).run())


class Supervisor:
    """Keeps `settings.workers` workers running."""

    def __init__(self, settings: Settings, listener: socket.socket) -> None:
        self._settings = settings
        self._listener = listener
        host, port = listener.getsockname()[:2]
        self._url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        self._table = SharedTable.create(settings.workers)
        self._workers: dict[int, Worker] = {}
        self._stopping = False
        self._listening = False
        """Whether a worker has ever listened on the socket."""
        self._status = 0
        self._rejection: str | None = None
        self._ended_metrics: Snapshot = []
        """Counters of workers that ended, so that no sum decreases."""

    async def run(self) -> int:
        """Start the workers, wait for their end, and return the exit status."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop)
        await asyncio.gather(*map(self._keep_running, range(self._settings.workers)))
        if self._rejection is not None:
            raise HeedError(self._rejection)
        return self._status

    async def _keep_running(self, slot: int) -> None:
        """Run a worker until the end, and another one whenever it dies."""
        self._table.connections[slot] = NOT_ACCEPTING
        while not self._stopping:
            worker = self._workers[slot] = await self._start_worker(slot)
            if self._stopping:  # while the process was being started
                worker.process.terminate()
            # Returns when the worker has ended and all its messages are read.
            await worker.channel.serve(
                self._collect_metrics, functools.partial(self._handle_message, worker)
            )
            status = await worker.process.wait()
            self._table.connections[slot] = NOT_ACCEPTING
            del self._workers[slot]
            self._ended_metrics = add_up([self._ended_metrics, without_gauges(worker.metrics)])
            if self._stopping:
                return
            if not self._listening:
                self._rejection, self._status = worker.rejection, 1
                self._stop()
                return
            reason = worker.rejection or f"it ended with status {status}"
            log.error("worker %d: %s; a new worker replaces it", worker.process.pid, reason)
            await asyncio.sleep(RESTART_SECONDS - (time.monotonic() - worker.started))

    async def _start_worker(self, slot: int) -> Worker:
        ours, theirs = socket.socketpair()
        with theirs:
            fds = (self._listener.fileno(), theirs.fileno(), self._table.file)
            options = {
                "fds": fds,
                "slot": slot,
                "replacement": self._listening,
                "settings": self._settings.model_dump(mode="json"),
            }
            # -P: a folder named `heed` in the current one must not be imported.
            # A process group of its own: ^C in a terminal must reach only the supervisor.
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "heed.service.process.worker", json.dumps(options)),
                pass_fds=fds,
                process_group=0,
                env=MALLOC | os.environ,
            )
        return Worker(process, await Channel.open(ours))

    def _handle_message(self, worker: Worker, kind: str, content: Any) -> None:
        if kind == "rejected":
            worker.rejection = content
        elif kind == "listening" and not self._listening:
            self._listening = True
            log.info("listening on %s", self._url)
            warn_if_oversubscribed(self._settings.workers, self._settings.threads)

    async def _collect_metrics(self) -> Snapshot:
        """Return the sum of the metrics of all workers, those that ended included."""
        await asyncio.gather(*(worker.update_metrics() for worker in self._workers.values()))
        return add_up([self._ended_metrics, *(w.metrics for w in self._workers.values())])

    def _stop(self) -> None:
        """Ask every worker to end; when called again, kill them."""
        number = signal.SIGKILL if self._stopping else signal.SIGTERM
        for worker in self._workers.values():
            with suppress(ProcessLookupError):
                worker.process.send_signal(number)
        if self._stopping:
            self._status = 1
            return
        self._stopping = True
        self._listener.close()
        seconds = self._settings.drain_seconds + self._settings.timeout + GRACE_SECONDS
        asyncio.get_running_loop().call_later(seconds, self._stop)


def _bind(settings: Settings) -> socket.socket:
    """Return a bound socket that does not listen yet."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise cannot_listen(settings, error) from error
    except UnicodeError as error:  # the name has a part that no host name can have
        raise SettingsError(f"--host {settings.host!r}: not a valid host name") from error
    return listener
