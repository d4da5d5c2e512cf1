"""A worker: one process that verifies the bundles, then serves them on the supervisor's socket.

Started as `python -m service.worker LISTEN_FD CHANNEL_FD`, which is not for people.
"""

import asyncio
import contextlib
import json
import logging
import signal
import socket
import sys
from collections.abc import Generator
from typing import Any

import uvicorn
import uvloop
from fastapi import FastAPI

from model.errors import HeedError
from service.app import create_app
from service.channel import Channel
from service.settings import Settings
from service.state import Service


class Server(uvicorn.Server):
    """uvicorn's, less its signal handling, which would end the process with status 143."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave the signals to `_serve`."""
        yield


def main() -> None:
    """Run until the supervisor says stop; exit status 2 when a bundle or a setting is refused."""
    listener, channel = (socket.socket(fileno=int(fd)) for fd in sys.argv[1:])
    with channel.makefile("rb", buffering=0) as stream:
        _, orders = json.loads(stream.readline())
    settings = Settings.model_validate(orders["settings"])
    logging.basicConfig(
        level=settings.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    try:
        app = create_app(settings, warm_first=orders["replacement"])
    except HeedError as error:
        print("heed:", error, file=sys.stderr)
        sys.exit(2)
    app.state.service.lifecycle.peers_warm = orders["peers_warm"]
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(_serve(app, settings, listener, channel))


async def _serve(app: FastAPI, settings: Settings, listener: socket.socket, end: socket.socket) -> None:
    service: Service = app.state.service
    channel = await Channel.open(end)
    config = uvicorn.Config(
        app,
        lifespan="on",
        ws="none",
        http="httptools",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        backlog=2048,
        timeout_graceful_shutdown=int(settings.timeout) + 1,
    )
    server = Server(config)
    draining: list[asyncio.Task[None]] = []

    def stop() -> None:
        if not draining:
            draining.append(asyncio.create_task(_drain(service, server, settings.drain_seconds)))

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop)
    loop.add_signal_handler(signal.SIGINT, stop)
    service.on_warm = lambda: channel.send("warm")
    channel.send("verified")
    listening = asyncio.create_task(_obey(service, channel, stop, settings.workers > 1))
    await server.serve([listener])
    listening.cancel()
    channel.close()


async def _drain(service: Service, server: Server, seconds: float) -> None:
    service.lifecycle.draining = True
    await asyncio.sleep(seconds)
    server.should_exit = True


async def _obey(service: Service, channel: Channel, stop: Any, has_peers: bool) -> None:
    """Answer the supervisor's messages; when it is gone, stop."""
    waiting: list[asyncio.Future[list[Any]]] = []

    async def collect() -> list[Any]:
        future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        waiting.append(future)
        channel.send("collect")
        return await future

    if has_peers:
        service.collect_peers = collect
    async for kind, content in channel.messages():
        if kind == "peers_warm":
            service.lifecycle.peers_warm = True
        elif kind == "dump":
            channel.send("dumped", service.dump_metrics())
        elif kind == "collected":
            for future in waiting:
                if not future.done():
                    future.set_result(content)
            waiting.clear()
    stop()


if __name__ == "__main__":
    main()
