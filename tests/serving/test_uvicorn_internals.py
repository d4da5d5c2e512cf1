"""The undocumented attributes of uvicorn and httptools that the service uses still exist.

uvicorn documents its command and `Config`, not its classes. So its minor version is pinned, and
this list shows what to check before the pin is raised.
"""

import ast
import asyncio
import tomllib
from importlib.metadata import version

import httptools
import pytest
import uvloop
from packaging.requirements import Requirement
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from heed.service.http.protocol import Protocol
from tests.serving.http.connection import connect
from tests.support.command import ROOT

PROTOCOL, PARSER, WORKER = (
    f"service/{name}.py" for name in ("http/protocol", "http/parser", "process/worker")
)
OVERRIDDEN = (
    *("connection_made", "connection_lost", "data_received", "send_400_response"),
    *("on_message_begin", "on_headers_complete", "on_body", "on_message_complete"),
    *("on_response_complete", "pause_writing", "resume_writing"),
    *("timeout_keep_alive_handler", "shutdown"),
)
"""Methods of `HttpToolsProtocol` that `Protocol` extends."""
USED: list[tuple[str, str, tuple[str, ...]]] = [
    (PROTOCOL, "HttpToolsProtocol", OVERRIDDEN),
    (PROTOCOL, "protocol", ("parser", "url", "headers", "cycle", "flow", "transport", "loop")),
    (PROTOCOL, "protocol", ("connections", "timeout_keep_alive", "timeout_keep_alive_task")),
    (PROTOCOL, "protocol.cycle", ("response_complete", "more_body", "keep_alive")),
    (PROTOCOL, "protocol.cycle", ("response_started", "disconnected", "message_event")),
    (PROTOCOL, "protocol.flow", ("pause_reading",)),
    (PROTOCOL, "server", ("config", "server_state", "lifespan")),
    (PROTOCOL, "server.lifespan", ("state",)),
    (WORKER, "server", ("startup", "main_loop", "shutdown", "lifespan", "should_exit")),
    (WORKER, "server.config", ("load", "lifespan_class")),
    (PARSER, "httptools", ("HttpParserUpgrade", "HttpParserInvalidMethodError")),
    (PARSER, "httptools.HttpRequestParser", ("set_dangerous_leniencies", "feed_data")),
]


@pytest.mark.parametrize(("path", "owner", "names"), USED)
def test_each_attribute_exists_and_is_used(path: str, owner: str, names: tuple[str, ...]) -> None:
    async def missing() -> set[str]:
        async with connect() as (reader, writer, protocol, server):
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            await reader.readline()
            found: object = {
                "HttpToolsProtocol": HttpToolsProtocol,
                "protocol": protocol,
                "server": server,
                "httptools": httptools,
            }[owner.partition(".")[0]]
            for name in owner.split(".")[1:]:
                found = getattr(found, name)
            return {name for name in names if not hasattr(found, name)}

    assert uvloop.run(missing()) == set()
    source = (ROOT / path).read_text("utf-8")
    assert [name for name in names if name not in source] == [], "remove it from the list"


def test_the_list_has_every_inherited_attribute_of_the_protocol() -> None:
    tree = ast.parse((ROOT / PROTOCOL).read_text("utf-8"))
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name | ast.Call)
        and ast.unparse(node.value) in ("self", "super()")
    }
    owners = ("HttpToolsProtocol", "protocol")
    listed = {name for _, owner, names in USED if owner in owners for name in names}
    own = {name for name in vars(Protocol) if name not in OVERRIDDEN} | {
        "_on_close",
        "_service",
        "_head_timeout",
    }
    assert used - own - {"__init__"} <= listed


def test_the_position_of_an_upgrade_is_the_argument_of_its_exception() -> None:
    head = b"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"
    with pytest.raises(httptools.HttpParserUpgrade) as upgrade:
        httptools.HttpRequestParser(object()).feed_data(head + b"rest")
    assert upgrade.value.args[0] == len(head)


def test_uvicorn_is_pinned_to_the_installed_minor_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    (pin,) = (r for r in map(Requirement, project["dependencies"]) if r.name == "uvicorn")
    major, minor, *_ = map(int, version("uvicorn").split("."))
    assert str(pin.specifier) == f"<{major}.{minor + 1},>={major}.{minor}"


def test_a_stopped_main_loop_returns() -> None:
    """The worker runs `startup`, `main_loop` and `shutdown` itself instead of `Server.serve`."""

    async def run() -> None:
        async with connect() as (_, _, _, server):
            await server.startup(sockets=[])
            server.should_exit = True
            await asyncio.wait_for(server.main_loop(), 10)
            await server.shutdown(sockets=[])

    uvloop.run(run())
