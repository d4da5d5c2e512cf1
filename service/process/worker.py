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
from typing import Any

import uvicorn
import uvloop
from fastapi import FastAPI

from heed.model.errors import HeedError
from heed.service.app import create_app
from heed.service.http import Protocol
from heed.service.inference import Engine
from heed.service.process.acceptor import Acceptor
from heed.service.process.channel import Channel, encode
from heed.service.process.loaded_models import LoadedModels
from heed.service.process.logs import start_logging
from heed.service.process.memory import release_memory
from heed.service.process.served_set import StoredBundle
from heed.service.process.shared_table import SharedTable
from heed.service.rate_limit import RateLimiter
from heed.service.settings import Settings, cannot_listen
from heed.service.state import Service

BACKLOG = 2048
"""Connections that may wait to be accepted."""
GC_THRESHOLD = 10_000
"""New objects between two runs of the garbage collector; a request leaves almost none."""
METRICS_SECONDS = 5.0
"""Time that the supervisor may take to reply with the sum of all metrics."""


def main() -> None:
    """Run until the supervisor ends it; exit status 2 if a bundle or a setting is rejected."""
    options = json.loads(sys.argv[1])
    listener, channel, descriptors = (socket.socket(fileno=fd) for fd in options["fds"][:3])
    settings = Settings.model_validate(options["settings"])
    start_logging(settings.log_level, settings.log_format)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # each thread tokenizes one text at a time
    try:
        models = LoadedModels(settings, options["served"])
        engine = Engine.from_models(models.serve(options["served"]), settings)
        app = create_app(settings, engine, warm_first=options["replacement"])
        _apply(app.state.service, options["served"])
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
    table = SharedTable(options["fds"][3])
    ends = channel, descriptors
    uvloop.run(_serve(app, settings, models, listener, ends, table, options["slot"]))


async def _serve(
    app: FastAPI,
    settings: Settings,
    models: LoadedModels,
    listener: socket.socket,
    ends: tuple[socket.socket, socket.socket],
    table: SharedTable,
    slot: int,
) -> None:
    service: Service = app.state.service
    channel_end, descriptors = ends
    channel = await Channel.open(channel_end)
    service.collect_all = lambda: asyncio.wait_for(channel.call("metrics"), METRICS_SECONDS)
    service.on_warm = lambda: table.warm.__setitem__(slot, True)
    service.peers_warm = lambda: all(table.warm)
    if settings.rate_limit is not None:
        service.rate_limiter = RateLimiter(settings.rate_limit, table.rates, table.file)
    server = _make_server(app, settings)
    service.connections = lambda: len(server.server_state.connections)
    acceptor = Acceptor(
        listener, lambda: Protocol(server, service, on_close=acceptor.remove), table, slot
    )
    whole_service_stops = False

    def stop(whole_service: bool) -> None:
        nonlocal whole_service_stops
        whole_service_stops |= whole_service
        service.draining = server.should_exit = True

    async def reply(kind: str, content: Any) -> Any:
        if kind == "load":
            bundles = [StoredBundle.from_json(f, _receive_fd(descriptors)) for f in content]
            return await asyncio.to_thread(models.load, bundles)
        assert kind == "metrics"
        return service.own_metrics()

    def handle_message(kind: str, content: Any) -> None:
        if kind == "serve":
            service.engine.serve(models.serve(content))
            _apply(service, content)
            # In a thread, because it takes milliseconds.
            asyncio.get_running_loop().run_in_executor(None, release_memory)
        elif kind == "drain":
            service.draining = True
        elif kind == "stop":
            stop(whole_service=True)

    for number in (signal.SIGTERM, signal.SIGINT):  # for this worker alone
        asyncio.get_running_loop().add_signal_handler(number, stop, False)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # only the supervisor reloads
    channel.send("listening")
    channel_task = asyncio.create_task(channel.serve(reply, handle_message))
    channel_task.add_done_callback(lambda _: stop(whole_service=True))  # the supervisor has ended
    # As `uvicorn.Server.serve`, with the acceptor, and with signals left to the handlers above.
    await server.startup(sockets=[])
    acceptor.start()
    await server.main_loop()
    if whole_service_stops:
        await acceptor.close()
    else:
        acceptor.leave()
    await server.shutdown(sockets=[])
    channel_task.cancel()


def _apply(service: Service, served: dict[str, Any]) -> None:
    """Use the keys and the reload errors of a set that the supervisor described."""
    service.use_keys(served["keys"])
    service.reload_errors = served["errors"]


def _receive_fd(descriptors: socket.socket) -> int:
    """Return the next descriptor that the supervisor has sent. It sends them before the call."""
    _, fds, _, _ = socket.recv_fds(descriptors, 1, 1)
    return fds[0]


def _make_server(app: FastAPI, settings: Settings) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        lifespan="on",
        ws="none",
        http=Protocol,  # so that uvicorn imports no other one
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,  # `create_app` reads them
        root_path=settings.root_path or "",
        timeout_keep_alive=settings.keep_alive,  # type: ignore[arg-type]  # a call_later delay
        timeout_graceful_shutdown=int(settings.timeout) + 1,
    )
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    return server


if __name__ == "__main__":
    main()
