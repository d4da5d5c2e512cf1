"""Read and parse the JSON body of a request."""

import asyncio
import contextlib
import json
import re
from collections.abc import Hashable, Iterator, Mapping
from email.message import Message
from itertools import islice
from math import inf
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.types import Receive, Scope

from heed.service.errors import (
    ClientDisconnected,
    EncodedBody,
    Invalid,
    NotJson,
    NotJsonType,
    TooLarge,
)

Schema = TypeVar("Schema", bound=BaseModel)

MAX_FAULTS = 100
"""Faults listed in one response; a list of a million unknown fields would take seconds."""
MAX_NAME_LENGTH = 100
"""Characters of an unknown field's name that are sent back."""
MAX_DISCARDED_BYTES = 16 * 1024 * 1024
"""Bytes of a rejected request's body that are read and dropped."""
DISCARD_SECONDS = 5.0
_SURROGATE = re.compile("[\ud800-\udfff]")


def check_headers(headers: Mapping[bytes, bytes], limit: int) -> None:
    """Check from the headers alone that the body can be read.

    Raises:
        NotJsonType: the content type is missing or another one.
        EncodedBody: the body is compressed.
        TooLarge: the body will have more than `limit` bytes.
    """
    content_type = headers.get(b"content-type", b"")
    if content_type != b"application/json" and not _is_json(content_type):
        raise NotJsonType("send the body as Content-Type: application/json, in UTF-8")
    encoding = headers.get(b"content-encoding", b"identity")
    if encoding.strip().lower() not in (b"identity", b""):
        message = "the body is compressed; send it without Content-Encoding"
        raise EncodedBody(message, {"Accept-Encoding": "identity"})
    length = headers.get(b"content-length", b"")
    if length.isdigit() and int(length[:20]) > limit:
        raise _too_large(limit)


async def read_body(receive: Receive, limit: int) -> bytes | bytearray:
    """Return the body of a request.

    Raises:
        TooLarge: it has more than `limit` bytes; the rest is not read.
        ClientDisconnected: the client closed the connection.
    """
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnected
        body += message.get("body", b"")
        if len(body) > limit:
            raise _too_large(limit)
        if not message.get("more_body"):
            return body


async def discard_body(
    receive: Receive, limit: int = MAX_DISCARDED_BYTES, seconds: float = DISCARD_SECONDS
) -> None:
    """Read and drop the rest of a body: `limit` bytes or a little more, for `seconds` at most."""
    size = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while size < limit:
                message = await receive()
                if not message.get("more_body"):  # the end of the body, or of the connection
                    return
                size += len(message["body"])


def client_key(scope: Scope) -> Hashable:
    """Return what takes turns with others: the client's API key, or else its address."""
    address: tuple[str, int] | None = scope["client"]
    return scope.get("heed.client") or (address and address[0])


def parse(schema: type[Schema], body: bytes | bytearray) -> Schema:
    """Return the JSON body as an instance of `schema`.

    Raises:
        NotJson: the body is malformed, not UTF-8, or nested too deeply.
        Invalid: the body is JSON, but does not fit the schema.
    """
    try:
        return schema.model_validate_json(body)
    except ValidationError as error:
        if error.error_count() > MAX_FAULTS:
            message = f"it has {error.error_count()} faults, too many to list"
            raise Invalid([(["body"], message)]) from None
        faults = error.errors(include_url=False, include_input=False, include_context=False)
    if faults[0]["type"] == "json_invalid":
        tree, message = _load(body, faults[0]["msg"]), faults[0]["msg"]
        locations = islice(_unreadable(tree, ["body"]), MAX_FAULTS)
        raise Invalid([(location, message) for location in locations] or [(["body"], message)])
    raise Invalid([(["body", *map(_printable, fault["loc"])], fault["msg"]) for fault in faults])


def _load(body: bytes | bytearray, message: str) -> Any:
    """Return the JSON of a body that pydantic's parser rejects with a message; raises `NotJson`."""
    if "recursion limit" in message:
        raise NotJson("the body is nested too deeply")
    try:
        return json.loads(body.decode(), parse_int=float)
    except (ValueError, RecursionError) as error:
        raise NotJson(f"the body is not JSON in UTF-8: {error}") from None


def _unreadable(tree: Any, location: list[str | int]) -> Iterator[list[str | int]]:
    """Yield the location of each value that the JSON grammar allows and pydantic's parser does not.

    These are texts with a lone surrogate and numbers out of range.
    """
    if isinstance(tree, dict | list):
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from _unreadable(value, [*location, _printable(key)])
    elif tree in (inf, -inf) or (isinstance(tree, str) and _SURROGATE.search(tree)):
        yield location


def _is_json(content_type: bytes) -> bool:
    header = Message()
    header["Content-Type"] = content_type.decode("latin-1")
    charset = header.get_content_charset("utf-8")
    return header.get_content_type() == "application/json" and charset in ("utf-8", "utf8")


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the body has more than {limit} bytes (--max-body); send less, or in parts")


def _printable(part: str | int) -> str | int:
    """Return a part of a location that can be encoded: an unknown field may have any name."""
    return part if isinstance(part, int) else _SURROGATE.sub("\ufffd", part[:MAX_NAME_LENGTH])
