"""The parent of the workers: binds the socket, starts them, replaces one that dies, stops them.

It loads no model. The socket is bound at once but opens only when a worker that has verified
every bundle listens on it, so that a refused bundle ends the command before anybody can connect.
"""

import asyncio
import logging
import signal
import socket
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from service.channel import Channel
from service.settings import Settings, SettingsError

log = logging.getLogger("heed")

DUMP_SECONDS = 2.0
"""How long a worker may take to tell its metrics."""
RESTART_SECONDS = 1.0
"""The least time between two starts of the same worker, once one has died."""


@dataclass
class Worker:
    """A running worker, as the supervisor sees it."""

    process: asyncio.subprocess.Process
    channel: Channel
    started: float = field(default_factory=time.monotonic)
    verified: bool = False
    warm: bool = False
    dump: asyncio.Future[list[Any]] | None = None
    """Its metrics, once it has told them."""
    last_dump: list[Any] | None = None


def serve(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT and return the exit status: 0, or a refusing worker's.

    Raises:
        SettingsError: the address cannot be bound.
    """
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    with _bind(settings) as listener:
        return asyncio.run(Supervisor(settings, listener).run())


class Supervisor:
    """Keeps `settings.workers` workers alive."""

    def __init__(self, settings: Settings, listener: socket.socket) -> None:
        self._settings = settings
        self._listener = listener
        self._workers: dict[int, Worker] = {}
        self._stopping = False
        self._peers_warm = settings.workers == 1
        self._status = 0
        self._retired: list[Any] = []
        """Last known metrics of workers that died, so that no counter goes back."""

    async def run(self) -> int:
        """Start the workers and wait for their end."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        await asyncio.gather(*(self._keep(slot) for slot in range(self._settings.workers)))
        return self._status

    async def _keep(self, slot: int) -> None:
        """Run a worker, and another when it dies, until the end."""
        replacement = False
        while not self._stopping:
            worker = await self._start(replacement)
            self._workers[slot] = worker
            if self._stopping:  # asked while it was being started
                worker.process.terminate()
            listening = asyncio.create_task(self._listen(worker))
            status = await worker.process.wait()
            await listening
            worker.channel.close()
            del self._workers[slot]
            if worker.last_dump is not None:
                self._retired = [worker.last_dump, *self._retired]
            if self._stopping:
                break
            if not worker.verified and not replacement:
                self._status = status if status > 0 else 1
                self._stop()
                break
            log.error("worker %d ended with status %d; another takes its place", worker.process.pid, status)
            replacement = True
            await asyncio.sleep(max(0.0, RESTART_SECONDS - (time.monotonic() - worker.started)))

    async def _start(self, replacement: bool) -> Worker:
        ours, theirs = socket.socketpair()
        fds = (self._listener.fileno(), theirs.fileno())
        # -P: a folder named `model` or `service` in the current one must not be imported.
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-P", "-m", "service.worker", *map(str, fds), pass_fds=fds, process_group=0
        )
        theirs.close()
        channel = await Channel.open(ours)
        orders = {
            "settings": self._settings.model_dump(mode="json"),
            "replacement": replacement,
            "peers_warm": self._peers_warm,
        }
        channel.send("start", orders)
        return Worker(process, channel)

    async def _listen(self, worker: Worker) -> None:
        collections = set()
        async for kind, content in worker.channel.messages():
            if kind == "verified":
                worker.verified = True
                log.info("listening on http://%s:%d", *self._listener.getsockname()[:2])
            elif kind == "warm":
                worker.warm = True
                self._note_warm()
            elif kind == "collect":
                collections.add(asyncio.create_task(self._collect_for(worker)))
            elif kind == "dumped":
                worker.last_dump = content
                if worker.dump is not None and not worker.dump.done():
                    worker.dump.set_result(content)

    async def _collect_for(self, asking: Worker) -> None:
        """Ask every worker for its metrics and send them all to the one that asks."""
        asked = []
        for worker in self._workers.values():
            if worker.dump is None or worker.dump.done():
                worker.dump = asyncio.get_running_loop().create_future()
                worker.channel.send("dump")
            asked.append(worker.dump)
        done, _ = await asyncio.wait(asked, timeout=DUMP_SECONDS)
        asking.channel.send("collected", [*(future.result() for future in done), *self._retired])

    def _note_warm(self) -> None:
        everybody = len(self._workers) == self._settings.workers
        if everybody and all(worker.warm for worker in self._workers.values()):
            self._peers_warm = True
            for worker in self._workers.values():
                worker.channel.send("peers_warm")

    def _stop(self) -> None:
        """Ask every worker to end; asked again, end them at once."""
        for worker in self._workers.values():
            worker.process.send_signal(signal.SIGKILL if self._stopping else signal.SIGTERM)
        if not self._stopping:
            patience = self._settings.drain_seconds + self._settings.timeout + 5.0
            asyncio.get_running_loop().call_later(patience, self._stop)
        self._stopping = True
        self._listener.close()


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
        raise SettingsError(
            f"cannot listen on {settings.host} port {settings.port}: {error.strerror}; "
            "choose another with --host or --port"
        ) from error
    return listener
