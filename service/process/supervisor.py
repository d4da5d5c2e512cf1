"""The parent of the workers: binds the socket, starts, replaces and stops them, sums metrics.

It reads the files of bundles, but loads no model. It binds the socket at once, but a worker listens
on it only after it has verified every bundle. So a rejected bundle ends the command before any
client can connect.
"""

import asyncio
import functools
import logging
import os
import resource
import signal
import socket
import sys
import time
from contextlib import suppress
from typing import Any

from heed.model.errors import HeedError
from heed.service.metrics import Family, Snapshot, add_up, without_gauges
from heed.service.process.cpu_limit import warn_if_oversubscribed
from heed.service.process.logs import start_logging
from heed.service.process.reload import Reloader
from heed.service.process.shared_table import NOT_ACCEPTING, SharedTable
from heed.service.process.worker_process import WorkerProcess
from heed.service.settings import Settings, SettingsError, cannot_listen, unknown_variables

log = logging.getLogger("heed")

METRICS_SECONDS = 0.25
"""Time that a worker may take to reply with its metrics."""
RESTART_SECONDS = 1.0
"""Minimum time between two starts of the same worker, doubled with each start that fails."""
MAX_RESTART_SECONDS = 30.0
MAX_FAILED_STARTS = 3
"""With more failed starts in a row of every worker, the supervisor ends."""
MIN_HANG_SECONDS = 30.0
"""A worker hangs if it does not answer for longer than this and longer than --timeout."""
GRACE_SECONDS = 5.0
"""Time that a worker may take to answer or to end, in addition."""
MAX_OPEN_FILES = 65536


def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; return the exit status, 1 if a request may be unanswered.

    Raises:
        HeedError: the address is not available, or a bundle or a setting is rejected.
    """
    start_logging(settings.log_level, settings.log_format)
    for warning in unknown_variables(os.environ):
        log.warning("%s", warning)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)  # each connection is an open file
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, MAX_OPEN_FILES)), hard))
    with _bind(settings) as listener:
        supervisor = Supervisor(settings, listener)
        return asyncio.run(supervisor.run())


class Supervisor:
    """Keeps `settings.workers` workers running."""

    def __init__(self, settings: Settings, listener: socket.socket) -> None:
        self._settings = settings
        self._listener = listener
        host, port = listener.getsockname()[:2]
        self._url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        self._table = SharedTable.create(settings.workers)
        self._workers: dict[int, WorkerProcess] = {}
        self._reloader = Reloader(settings, self._workers.values, self._request_reload)
        self._reload_requested = asyncio.Event()
        self._changing = asyncio.Lock()
        """Held while a worker is started with the served set, or while that set changes."""
        self._failed_starts = [0] * settings.workers
        """Starts in a row that ended before the worker listened, of each slot."""
        self._draining = False
        self._stopping = False
        self._listening = False
        """Whether a worker has ever listened on the socket."""
        self._status = 0
        self._rejection: str | None = None
        self._restarts = 0
        self._ended_metrics: Snapshot = []
        """Counters of workers that ended, so that no sum decreases."""

    async def run(self) -> int:
        """Start the workers, wait for their end, and return the exit status."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._handle_signal, self._settings.drain_seconds)
        loop.add_signal_handler(signal.SIGINT, self._handle_signal, 0.0)
        if sys.stdin is None or not sys.stdin.isatty():  # a terminal that closes sends SIGHUP
            loop.add_signal_handler(signal.SIGHUP, self._request_reload)
        reloading = asyncio.create_task(self._reload_when_requested())
        await asyncio.gather(*map(self._keep_running, range(self._settings.workers)))
        reloading.cancel()
        if self._rejection is not None:
            raise HeedError(self._rejection)
        return self._status

    async def _keep_running(self, slot: int) -> None:
        """Run a worker until the end, and another one whenever it ends."""
        while not self._stopping:
            started = time.monotonic()
            reason = await self._run_worker(slot)
            if self._stopping:
                return
            failures = self._failed_starts[slot]
            if all(number > MAX_FAILED_STARTS for number in self._failed_starts):
                log.critical("%s; no worker can be started, so the server ends", reason)
                self._status = 1
                self._stop()
                return
            log.error("%s; a new worker replaces it", reason)
            self._restarts += 1
            pause = min(RESTART_SECONDS * 2 ** max(failures - 1, 0), MAX_RESTART_SECONDS)
            await asyncio.sleep(pause - (time.monotonic() - started))

    async def _run_worker(self, slot: int) -> str:
        """Run one worker. Returns why it ended, for the log."""
        self._table.connections[slot] = NOT_ACCEPTING
        self._failed_starts[slot] += 1  # until it listens
        try:
            async with self._changing:
                worker = self._workers[slot] = await self._start_worker(slot)
        except OSError as error:
            return f"worker of slot {slot}: cannot be started: {error.strerror}"
        if self._draining:
            worker.channel.send("drain")
        if self._stopping:  # while the process was being started
            worker.stop()
        watching = asyncio.create_task(
            worker.kill_if_hung(max(self._settings.timeout, MIN_HANG_SECONDS) + GRACE_SECONDS)
        )
        # Returns when the worker has ended and all its messages are read.
        await worker.channel.serve(
            self._reply, functools.partial(self._handle_message, slot, worker)
        )
        watching.cancel()
        reason = await worker.wait()
        self._table.connections[slot] = NOT_ACCEPTING
        del self._workers[slot]
        self._ended_metrics = add_up([self._ended_metrics, without_gauges(worker.metrics)])
        if worker.rejection is not None and not self._listening and not self._stopping:
            self._rejection = worker.rejection
            self._stop()
        return f"worker {worker.pid}: {reason}"

    async def _start_worker(self, slot: int) -> WorkerProcess:
        options = {
            "slot": slot,
            "replacement": self._listening,
            # A worker gets the keys, not the file.
            "settings": self._settings.model_dump(mode="json") | {"api_keys_file": None},
        }
        served = self._reloader.served
        return await WorkerProcess.start(self._listener, self._table.file, served, options)

    async def _reload_when_requested(self) -> None:
        """Reload after a request, and every --watch seconds."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._settings.watch or None):
                    await self._reload_requested.wait()
            self._reload_requested.clear()
            async with self._changing:
                try:
                    await self._reloader.reload()
                except Exception:
                    log.exception("the reload failed; what was served is served")

    def _request_reload(self) -> None:
        self._reload_requested.set()

    def _handle_message(self, slot: int, worker: WorkerProcess, kind: str, content: Any) -> None:
        if kind == "rejected":
            worker.rejection = content
        elif kind == "listening":
            worker.listening = True
            self._failed_starts[slot] = 0
            if not self._listening:
                self._listening = True
                log.info("listening on %s", self._url)
                warn_if_oversubscribed(self._settings.workers, self._settings.threads)

    async def _reply(self, kind: str, _: Any) -> Snapshot:
        """Return the sum of the metrics of all workers, those that ended included."""
        assert kind == "metrics"
        calls = {worker: worker.request_metrics() for worker in self._workers.values()}
        await asyncio.wait(calls.values(), timeout=METRICS_SECONDS)
        # Without a reply in time, the counters are the latest known, and gauges are left out.
        known = [
            w.metrics if call.done() else without_gauges(w.metrics) for w, call in calls.items()
        ]
        restarts: Family = (
            "heed_worker_restarts",
            "Workers that ended and were replaced.",
            "counter",
            [("heed_worker_restarts_total", {}, self._restarts)],
        )
        return add_up([self._ended_metrics, [restarts, self._reloader.metrics()], *known])

    def _handle_signal(self, drain_seconds: float) -> None:
        """Drain, then stop. A second signal kills."""
        if self._draining:
            self._kill()
            return
        self._draining = True
        for worker in self._workers.values():
            worker.channel.send("drain")
        asyncio.get_running_loop().call_later(drain_seconds, self._stop)

    def _stop(self) -> None:
        """Ask every worker to end, and kill those that do not."""
        if self._stopping:
            return
        self._draining = self._stopping = True
        for worker in self._workers.values():
            worker.stop()
        self._listener.close()
        seconds = self._settings.timeout + GRACE_SECONDS
        asyncio.get_running_loop().call_later(seconds, self._kill)

    def _kill(self) -> None:
        self._stopping = True
        self._status = 1
        for worker in self._workers.values():
            worker.kill("it was killed")


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
