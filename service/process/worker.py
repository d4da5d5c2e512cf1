"""A worker: one process that verifies the bundles, then serves them on the supervisor's socket.

Started as `python -m service.worker LISTEN_FD CHANNEL_FD COUNTS_FD`, which is not for people.
"""

import asyncio
import contextlib
import gc
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Generator

import uvicorn
import uvloop
from fastapi import FastAPI

from heed.model.errors import HeedError
from heed.service.app import create_app
from heed.service.http.protocol import Protocol
from heed.service.http.shedding import Shedder
from heed.service.metrics.samples import Samples
from heed.service.process.acceptor import Acceptor, Turn, map_counts
from heed.service.process.channel import Channel, message
from heed.service.process.logs import start_logging
from heed.service.settings import Settings, cannot_listen
from heed.service.state import Service

GARBAGE = 10_000
"""New objects between two rounds of the garbage collector; a request leaves next to none."""
SETTLE_SECONDS = 0.1
"""Between closing the socket and hanging up on those who are connected but ask nothing."""


class AddressTaken(OSError):
    """Another process listens there."""


class Server(uvicorn.Server):
    """uvicorn's, with an `Acceptor`; it says when it listens, leaves signals alone and closes
    without a loss.

    With uvicorn's own signal handling the process would end with status 143.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        listener: socket.socket,
        turn: Turn,
        shedder: Shedder,
        on_listening: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._shedder = shedder
        self._acceptor = Acceptor(listener, self._make_protocol, turn)
        self._on_listening = on_listening

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave the signals to `_serve`."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the socket and say so."""
        await super().startup(sockets)
        try:
            self._acceptor.start(self.config.backlog)
        except OSError as error:  # two servers may bind, but not listen
            await self.lifespan.shutdown()
            raise AddressTaken(*error.args) from error
        self._on_listening()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take in whoever has connected, answer what they ask, then close.

        uvicorn would reset those that wait to be accepted and those whose request is not yet read.
        """
        self._acceptor.stop()
        await asyncio.sleep(SETTLE_SECONDS)
        self._acceptor.close()
        await asyncio.sleep(SETTLE_SECONDS)
        await super().shutdown(sockets)

    def _make_protocol(self) -> Protocol:
        return Protocol(
            self.config,
            self.server_state,
            self.lifespan.state,
            shedder=self._shedder,
            on_lost=self._acceptor.forget,
        )


def main() -> None:
    """Run until the supervisor says stop; exit status 2 when a bundle or a setting is refused."""
    listen_fd, channel_fd, counts_fd = map(int, sys.argv[1:])
    listener, end = socket.socket(fileno=listen_fd), socket.socket(fileno=channel_fd)
    with end.makefile("rb", buffering=0) as stream:
        _, orders = json.loads(stream.readline())
    settings = Settings.model_validate(orders["settings"])
    start_logging(settings.log_level)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # one text at a time, in our own threads
    try:
        app = create_app(settings, warm_first=orders["replacement"])
    except HeedError as error:
        end.sendall(message("refused", str(error)))
        sys.exit(2)
    app.state.service.lifecycle.peers_warm = orders["peers_warm"]
    # What there is now stays: the collector need not look at it again, for 50 ms at a time.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE, 20, 20)
    turn = Turn(map_counts(counts_fd), orders["slot"])
    uvloop.run(_serve(app, settings, listener, end, turn))


async def _serve(
    app: FastAPI,
    settings: Settings,
    listener: socket.socket,
    end: socket.socket,
    turn: Turn,
) -> None:
    service: Service = app.state.service
    channel = await Channel.open(end)
    config = uvicorn.Config(
        app,
        lifespan="on",
        ws="none",
        http=Protocol,  # so that it loads no other; it makes none, see `Server`
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        backlog=2048,
        timeout_graceful_shutdown=int(settings.timeout) + 1,
    )
    server = Server(
        config, listener, turn, Shedder(service), on_listening=lambda: channel.send("listening")
    )
    draining: list[asyncio.Task[None]] = []

    def stop() -> None:
        if not draining:
            draining.append(asyncio.create_task(_drain(service, server, settings.drain_seconds)))

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    service.on_warm = lambda: channel.send("warm")
    obeying = asyncio.create_task(_obey(service, channel, stop, settings.workers > 1))
    try:
        await server.serve(sockets=[])  # uvicorn shall listen on none
    except AddressTaken as error:
        channel.send("refused", str(cannot_listen(settings, error)))
    obeying.cancel()
    channel.close()


async def _drain(service: Service, server: Server, seconds: float) -> None:
    service.lifecycle.draining = True
    await asyncio.sleep(seconds)
    server.should_exit = True


async def _obey(
    service: Service, channel: Channel, stop: Callable[[], None], has_peers: bool
) -> None:
    """Do what the supervisor's messages say; when it is gone, stop."""
    asking: list[asyncio.Future[Samples]] = []

    async def ask_all() -> Samples:
        future: asyncio.Future[Samples] = asyncio.get_running_loop().create_future()
        asking.append(future)
        channel.send("collect")
        return await future

    if has_peers:
        service.ask_all = ask_all
    async for kind, content in channel.messages():
        if kind == "peers_warm":
            service.lifecycle.peers_warm = True
        elif kind == "tell":
            channel.send("told", service.own_samples())
        elif kind == "collected":
            for future in asking:
                if not future.done():
                    future.set_result(content)
            asking.clear()
    stop()


if __name__ == "__main__":
    main()
