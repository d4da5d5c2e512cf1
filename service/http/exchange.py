"""The two ends of an exchange on the hot path: read and parse a body, write a reply."""

import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from math import isfinite
from typing import Any, TypeVar

import msgspec
from pydantic import BaseModel, ValidationError
from starlette.responses import Response
from starlette.types import Receive

from heed.service.errors import (
    ClientGone,
    DeadlineExceeded,
    Fault,
    InternalError,
    Invalid,
    NotJson,
    NotJsonType,
    ServiceError,
    TooLarge,
)

Schema = TypeVar("Schema", bound=BaseModel)

MOST_FAULTS = 100
"""Told of one request; to list a fault for every unknown field would take seconds."""
NAME_LENGTH = 100
"""Of an unknown field, in an answer."""
_LATE = "the body is late"
_SURROGATE = re.compile("[\ud800-\udfff]")


def length_of(headers: Mapping[bytes, bytes]) -> int:
    """Bytes of a body, as its head tells them; 0 where it does not."""
    length = headers.get(b"content-length", b"")
    return int(length[:20]) if length.isdigit() else 0


def check_head(headers: Mapping[bytes, bytes], limit: int) -> None:
    """See whether a body can be read at all.

    Raises:
        NotJsonType: the content type is missing or another.
        TooLarge: it will have more than `limit` bytes.
    """
    content_type = headers.get(b"content-type", b"")
    if content_type != b"application/json" and not _is_json(content_type):
        raise NotJsonType("send the body as Content-Type: application/json, in UTF-8")
    if length_of(headers) > limit:
        raise _too_large(limit)


async def read_body(receive: Receive, limit: int, seconds: float) -> bytes | bytearray:
    """Read a request's body.

    Raises:
        TooLarge: it has more than `limit` bytes; the rest is not read.
        DeadlineExceeded: it has not come within `seconds`.
        ClientGone: the client hung up.
    """
    # As asyncio.timeout does it, at a third of its cost: each request comes by here.
    task = asyncio.current_task()
    assert task is not None
    timer = asyncio.get_running_loop().call_later(seconds, task.cancel, _LATE)
    try:
        return await _read(receive, limit)
    except asyncio.CancelledError as error:
        if error.args != (_LATE,) or task.uncancel() > 0:
            raise
        raise DeadlineExceeded("the body took longer than --timeout allows") from None
    finally:
        timer.cancel()


async def _read(receive: Receive, limit: int) -> bytes | bytearray:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        body += message.get("body", b"")
        if len(body) > limit:
            raise _too_large(limit)
        if not message.get("more_body"):
            return body


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the body has more than {limit} bytes (--max-body); send less, or in parts")


def _is_json(content_type: bytes) -> bool:
    kind, *parameters = content_type.decode("latin-1").lower().split(";")
    pairs = [parameter.partition("=") for parameter in parameters]
    charsets = [value.strip(' "') for name, _, value in pairs if name.strip() == "charset"]
    return kind.strip() == "application/json" and all(c in ("utf-8", "utf8") for c in charsets)


def parse(schema: type[Schema], body: bytes | bytearray) -> Schema:
    """Validate a JSON body.

    Raises:
        NotJson: it is not JSON at all: malformed, not UTF-8, nested too deep.
        Invalid: it is JSON, but not what `schema` says.
    """
    try:
        return schema.model_validate_json(body)
    except ValidationError as error:
        if error.error_count() > MOST_FAULTS:
            message = f"it has {error.error_count()} faults, too many to list"
            raise Invalid([(["body"], message)]) from None
        faults = error.errors(include_url=False, include_input=False, include_context=False)
    if faults[0]["type"] != "json_invalid":
        raise Invalid([(("body", *map(_printable, f["loc"])), f["msg"]) for f in faults])
    if "recursion limit" in faults[0]["msg"]:
        raise NotJson("the body is nested too deep")
    # pydantic's parser also refuses what is JSON by its grammar, such as a lone surrogate.
    tree = _load(body)
    raise Invalid(
        list(islice(_unreadable(tree), MOST_FAULTS))
        or [(["body"], f"it cannot be read: {faults[0]['msg']}")]
    )


def _load(body: bytes | bytearray) -> Any:
    """The body by the letter of the JSON grammar; raises `NotJson`."""
    try:
        return json.loads(body.decode(), parse_int=float)
    except UnicodeDecodeError as error:
        raise NotJson(f"the body is not UTF-8: byte {error.start} cannot be read") from None
    except RecursionError:
        raise NotJson("the body is nested too deep") from None
    except ValueError as error:
        raise NotJson(f"the body is not JSON: {error}") from None


def _unreadable(tree: Any) -> Iterator[Fault]:
    """The faults that the JSON grammar lets pass, as deep as a valid request goes."""
    for name, value in tree.items() if isinstance(tree, dict) else ():
        items = [([name], name), ([name], value)]
        if isinstance(value, list):
            items += [([name, place], item) for place, item in enumerate(value)]
        for loc, item in items:
            place = ["body", *map(_printable, loc)]
            if isinstance(item, str) and _SURROGATE.search(item):
                yield place, "it holds half of a surrogate pair"
            if isinstance(item, float) and not isfinite(item):
                yield place, "the number is too large"


def _printable(part: str | int) -> str | int:
    """A part of a place as it can be sent back: an unknown field may have any name."""
    if isinstance(part, int):
        return part
    return _SURROGATE.sub("\ufffd", part[:NAME_LENGTH])


class Json(Response):
    """A JSON reply, its bytes written once."""

    kind = b"application/json"

    def __init__(
        self, content: Any, status: int = 200, headers: dict[str, str] | None = None
    ) -> None:
        self.status_code = status
        self.background = None
        self.body = msgspec.json.encode(content)
        self.raw_headers = [
            (b"content-type", self.kind),
            (b"content-length", b"%d" % len(self.body)),
            (b"cache-control", b"no-store"),
        ]
        for name, value in headers.items() if headers else ():
            self.raw_headers.append((name.lower().encode(), value.encode()))


class ProblemJson(Json):
    """An error as `application/problem+json`."""

    kind = b"application/problem+json"

    def __init__(self, error: ServiceError) -> None:
        problem = error.problem()
        super().__init__(problem, problem["status"], error.headers)


def respond(error: Exception) -> Response:
    """The answer to whatever may be raised."""
    if isinstance(error, ServiceError):
        return ProblemJson(error)
    if isinstance(error, ClientGone):
        return Response(status_code=499)
    return ProblemJson(InternalError("something broke here; it was logged"))
