"""The two ends of an exchange on the hot path: read and parse a body, write a reply."""

import json
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from starlette.responses import Response
from starlette.types import Receive, Scope

from service.errors import ClientGone, Invalid, NotJson, NotJsonType, ServiceError, TooLarge

Schema = TypeVar("Schema", bound=BaseModel)


async def read_json_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """Read a JSON request's body.

    Raises:
        NotJsonType: the content type is missing or another.
        TooLarge: it has more than `limit` bytes; the rest is not read.
        ClientGone: the client hung up.
    """
    content_type = length = b""
    for name, value in scope["headers"]:
        if name == b"content-type":
            content_type = value
        elif name == b"content-length":
            length = value
    if content_type != b"application/json" and not _is_json(content_type):
        raise NotJsonType("send the body as Content-Type: application/json, in UTF-8")
    too_large = TooLarge(f"the body has more than {limit} bytes (--max-body); send less, or in parts")
    if length.isdigit() and int(length[:20]) > limit:
        raise too_large
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        body = body + message["body"] if body else message["body"]
        if len(body) > limit:
            raise too_large
        if not message.get("more_body"):
            return body


def _is_json(content_type: bytes) -> bool:
    kind, *parameters = content_type.decode("latin-1").lower().split(";")
    charsets = [p.split("=", 1)[1].strip(' "') for p in parameters if p.strip().startswith("charset=")]
    return kind.strip() == "application/json" and all(charset in ("utf-8", "utf8") for charset in charsets)


def parse(schema: type[Schema], body: bytes) -> Schema:
    """Validate a JSON body.

    Raises:
        NotJson: it is not JSON at all: malformed, not UTF-8, nested too deep.
        Invalid: it is JSON, but not what `schema` says.
    """
    try:
        return schema.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        if first["type"] != "json_invalid":
            raise _invalid(error) from None
        if "recursion limit" in first["msg"]:
            raise NotJson("the body is nested too deep") from None
    # pydantic's parser also refuses what is JSON by its grammar, such as a lone surrogate.
    try:
        tree = json.loads(body.decode("utf-8"), parse_int=float)
    except UnicodeDecodeError as error:
        raise NotJson(f"the body is not UTF-8: byte {error.start} cannot be read") from None
    except RecursionError:
        raise NotJson("the body is nested too deep") from None
    except ValueError as error:
        raise NotJson(f"the body is not JSON: {error}") from None
    try:
        schema.model_validate(tree)
    except ValidationError as error:
        raise _invalid(error) from None
    raise Invalid([(["body"], "it holds something that is not valid Unicode, or a number too large")])


def _invalid(error: ValidationError) -> Invalid:
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    return Invalid([(("body", *map(_printable, fault["loc"])), fault["msg"]) for fault in faults[:100]])


def _printable(part: str | int) -> str | int:
    """A field's name as it can be sent back: unknown ones may hold lone surrogates."""
    return part if isinstance(part, int) else part.encode("utf-8", "backslashreplace").decode()


class Json(Response):
    """A JSON reply, its bytes written once."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Encode `content`."""
        return orjson.dumps(content)


class ProblemJson(Json):
    """An error as `application/problem+json`."""

    media_type = "application/problem+json"

    def __init__(self, error: ServiceError) -> None:
        problem = error.problem()
        super().__init__(problem, problem["status"], error.headers)
