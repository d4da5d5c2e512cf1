"""The parent of the workers: binds the socket, starts them, replaces one that dies, stops them.

It loads no model. The socket is bound at once but opens only when a worker that has verified
every bundle listens on it, so that a refused bundle ends the command before anybody can connect.
"""

import asyncio
import logging
import os
import resource
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field

from heed.model.errors import HeedError
from heed.service.metrics.samples import Samples, add_up, without_gauges
from heed.service.process.acceptor import ABSENT, counts_file, map_counts
from heed.service.process.channel import Channel
from heed.service.process.cpu_limit import warn_of_crowding
from heed.service.process.logs import start_logging
from heed.service.settings import Settings, SettingsError, cannot_listen, unknown_variables

log = logging.getLogger("heed")

TELL_SECONDS = 2.0
"""How long a worker may take to tell its metrics."""
RESTART_SECONDS = 1.0
"""The least time between two starts of the same worker, once one has died."""
GRACE_SECONDS = 5.0
"""What a worker may take to end beyond the time that its requests may take."""
MALLOC = {"MALLOC_ARENA_MAX": "1", "MALLOC_MMAP_THRESHOLD_": str(1 << 20)}
"""Environment that lets glibc return what a large request took: 30 MB less in a long run."""
FILES = 65536
"""Open at once in a process, where the system lets us."""


@dataclass
class Worker:
    """A running worker, as the supervisor sees it."""

    process: asyncio.subprocess.Process
    channel: Channel
    started: float = field(default_factory=time.monotonic)
    listens: bool = False
    warm: bool = False
    refusal: str | None = None
    """Why it will not serve, in a sentence for the user."""
    telling: asyncio.Future[None] | None = None
    """Done once it has told its metrics."""
    told: Samples = field(default_factory=list)
    """Its metrics as it told them last."""


def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit status, 1 when not all was answered.

    Raises:
        HeedError: the address cannot be bound, or a worker refuses a bundle or a setting.
    """
    start_logging(settings.log_level)
    for sentence in unknown_variables(os.environ):
        log.warning("%s", sentence)
    _raise_file_limit()
    with _bind(settings) as listener:
        return asyncio.run(Supervisor(settings, listener).run())


class Supervisor:
    """Keeps `settings.workers` workers alive."""

    def __init__(self, settings: Settings, listener: socket.socket) -> None:
        self._settings = settings
        self._listener = listener
        self._counts_file = counts_file(settings.workers)
        self._counts = map_counts(self._counts_file)
        self._url = _url(listener)
        self._workers: dict[int, Worker] = {}
        self._stopping = False
        self._peers_warm = settings.workers == 1
        self._open = False
        self._status = 0
        self._refusal: str | None = None
        self._retired: Samples = []
        """What workers that died had counted when last asked, so that no counter goes back."""

    async def run(self) -> int:
        """Start the workers and wait for their end."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        await asyncio.gather(*(self._keep(slot) for slot in range(self._settings.workers)))
        if self._refusal is not None:
            raise HeedError(self._refusal)
        return self._status

    async def _keep(self, slot: int) -> None:
        """Run a worker, and another when it dies, until the end."""
        replacement = False
        self._counts[slot] = ABSENT
        while not self._stopping:
            worker = self._workers[slot] = await self._start(slot, replacement)
            if self._stopping:  # asked while it was being started
                worker.process.terminate()
            listening = asyncio.create_task(self._listen(worker))
            status = await worker.process.wait()
            self._counts[slot] = ABSENT
            await listening
            worker.channel.close()
            del self._workers[slot]
            self._retired = add_up([self._retired, without_gauges(worker.told)])
            if worker.telling is not None:
                worker.telling.cancel()
            if self._stopping:
                break
            if not worker.listens and not replacement:
                self._refusal = worker.refusal
                self._status = 1
                self._stop()
                break
            reason = worker.refusal or f"it ended with status {status}"
            log.error("worker %d: %s; another takes its place", worker.process.pid, reason)
            replacement = True
            await asyncio.sleep(RESTART_SECONDS - (time.monotonic() - worker.started))

    async def _start(self, slot: int, replacement: bool) -> Worker:
        ours, theirs = socket.socketpair()
        with theirs:
            fds = (self._listener.fileno(), theirs.fileno(), self._counts_file)
            # -P: a folder named `model` or `service` in the current one must not be imported.
            # Its own process group, so that ^C in a terminal reaches the supervisor alone.
            command = (sys.executable, "-P", "-m", "heed.service.process.worker", *map(str, fds))
            process = await asyncio.create_subprocess_exec(
                *command, pass_fds=fds, process_group=0, env=MALLOC | os.environ
            )
        channel = await Channel.open(ours)
        orders = {
            "settings": self._settings.model_dump(mode="json"),
            "slot": slot,
            "replacement": replacement,
            "peers_warm": self._peers_warm,
        }
        channel.send("start", orders)
        return Worker(process, channel)

    async def _listen(self, worker: Worker) -> None:
        """Take in what a worker says, until it goes."""
        collecting = set()
        async for kind, content in worker.channel.messages():
            if kind == "refused":
                worker.refusal = content
            elif kind == "listening":
                worker.listens = True
                if not self._open:
                    self._open = True
                    log.info("listening on %s", self._url)
                    warn_of_crowding(self._settings.workers, self._settings.threads)
            elif kind == "warm":
                worker.warm = True
                self._note_warm()
            elif kind == "collect":
                collecting.add(asyncio.create_task(self._collect_for(worker)))
            elif kind == "told":
                worker.told = content
                if worker.telling is not None and not worker.telling.done():
                    worker.telling.set_result(None)

    async def _collect_for(self, asking: Worker) -> None:
        """Ask every worker for its metrics and send the sum to the one that asks."""
        asked: dict[int, asyncio.Future[None]] = {}
        for slot, worker in self._workers.items():
            if worker.telling is None or worker.telling.done():
                worker.telling = asyncio.get_running_loop().create_future()
                worker.channel.send("tell")
            asked[slot] = worker.telling
        if asked:
            await asyncio.wait(asked.values(), timeout=TELL_SECONDS)
        parts = [self._retired]
        for slot, worker in self._workers.items():
            in_time = slot in asked and asked[slot].done()
            parts.append(worker.told if in_time else without_gauges(worker.told))
        asking.channel.send("collected", add_up(parts))

    def _note_warm(self) -> None:
        everybody = len(self._workers) == self._settings.workers
        if everybody and all(worker.warm for worker in self._workers.values()):
            self._peers_warm = True
            for worker in self._workers.values():
                worker.channel.send("peers_warm")

    def _stop(self) -> None:
        """Ask every worker to end; asked again, end them at once."""
        number = signal.SIGKILL if self._stopping else signal.SIGTERM
        for worker in self._workers.values():
            with suppress(ProcessLookupError):
                worker.process.send_signal(number)
        if self._stopping:
            self._status = 1
            return
        self._stopping = True
        self._listener.close()
        patience = self._settings.drain_seconds + self._settings.timeout + GRACE_SECONDS
        asyncio.get_running_loop().call_later(patience, self._stop)


def _bind(settings: Settings) -> socket.socket:
    """Bind, without listening yet."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        raise cannot_listen(settings, error) from error
    except UnicodeError as error:  # of a name that no host can have
        raise SettingsError(f"--host {settings.host!r}: is not the name of a host") from error
    return listener


def _raise_file_limit() -> None:
    """Let many connections be open, each of which is a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, FILES)), hard))


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
