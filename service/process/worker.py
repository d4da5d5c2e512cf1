"""A worker: one process that verifies the bundles, then serves them on the supervisor's socket.

The supervisor starts it as `python -m heed.service.process.worker OPTIONS`.
"""

import asyncio
import gc
import json
import os
import signal
import socket
import sys

import uvicorn
import uvloop
from fastapi import FastAPI

from heed.model.errors import HeedError
from heed.service.app import create_app
from heed.service.http import Protocol
from heed.service.metrics import Snapshot
from heed.service.process.acceptor import Acceptor
from heed.service.process.channel import Channel, encode
from heed.service.process.logs import start_logging
from heed.service.process.shared_table import SharedTable
from heed.service.settings import Settings, cannot_listen
from heed.service.state import Service

BACKLOG = 2048
"""Connections that may wait to be accepted."""
GC_THRESHOLD = 10_000
"""New objects between two runs of the garbage collector; a request leaves almost none."""
METRICS_SECONDS = 5.0
"""Time that the supervisor may take to reply with the sum of all metrics."""
SETTLE_SECONDS = 0.1
"""Wait before connections without a request are closed, because one may be on its way."""


def main() -> None:
    """Run until the supervisor ends it; exit status 2 if a bundle or a setting is rejected."""
    options = json.loads(sys.argv[1])
    listener, channel = (socket.socket(fileno=fd) for fd in options["fds"][:2])
    settings = Settings.model_validate(options["settings"])
    start_logging(settings.log_level)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # each thread tokenizes one text at a time
    try:
        app = create_app(settings, warm_first=options["replacement"])
        try:
            listener.setblocking(False)
            listener.listen(BACKLOG)
        except OSError as error:  # two processes may bind one address, but not listen on it
            raise cannot_listen(settings, error) from error
    except HeedError as error:
        channel.sendall(encode("rejected", str(error)))
        sys.exit(2)
    # The collector then skips the objects that exist now; to scan them takes 50 ms.
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, 20, 20)
    table = SharedTable(options["fds"][2])
    uvloop.run(_serve(app, settings, listener, channel, table, options["slot"]))


async def _serve(
    app: FastAPI,
    settings: Settings,
    listener: socket.socket,
    channel_end: socket.socket,
    table: SharedTable,
    slot: int,
) -> None:
    service: Service = app.state.service
    channel = await Channel.open(channel_end)
    channel.send("listening")
    service.collect_all = lambda: channel.call(METRICS_SECONDS)
    service.on_warm = lambda: table.warm.__setitem__(slot, True)
    service.peers_warm = lambda: all(table.warm)
    server = _make_server(app, settings)
    acceptor = Acceptor(listener, lambda: Protocol(server, on_close=acceptor.remove), table, slot)
    stop_requested = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop_requested.set)

    async def own_metrics() -> Snapshot:
        return service.own_metrics()

    async def drain() -> None:
        await stop_requested.wait()
        service.draining = True
        await asyncio.sleep(settings.drain_seconds)
        server.should_exit = True

    channel_task = asyncio.create_task(channel.serve(own_metrics))
    channel_task.add_done_callback(lambda _: stop_requested.set())  # the supervisor has ended
    draining = asyncio.create_task(drain())
    # As `uvicorn.Server.serve`, with the acceptor, and with signals left to the handlers above.
    await server.startup(sockets=[])
    acceptor.start()
    await server.main_loop()
    # uvicorn's shutdown would reset connections in the backlog, and requests that it has not read.
    acceptor.stop()
    await asyncio.sleep(SETTLE_SECONDS)
    acceptor.close()
    await asyncio.sleep(SETTLE_SECONDS)
    await server.shutdown(sockets=[])
    await draining
    channel_task.cancel()


def _make_server(app: FastAPI, settings: Settings) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        lifespan="on",
        ws="none",
        http=Protocol,  # so that uvicorn imports no other one
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=int(settings.timeout) + 1,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    return server


if __name__ == "__main__":
    main()
