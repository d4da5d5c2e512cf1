"""The OpenAPI document: request bodies, responses, errors and API keys."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, TypeAdapter

from heed.service.errors import Invalid, ServiceError, Unauthorized
from heed.service.http.responses import problem_of
from heed.service.http.schemas import BatchRequest, ClassifyRequest, InvalidProblem, Problem

REQUESTS = (ClassifyRequest, BatchRequest)
REF = "#/components/schemas/{model}"

BEARER = {"type": "http", "scheme": "bearer", "description": "One of --api-keys-file, if given."}
EXAMPLE_ID = "4f6a5c0e9d1b4e7c8a2f3b6d7e8f9a0b"
EXAMPLE_REQUEST = {"text": "A gripping film."}
EXAMPLE_BATCH_REQUEST = {"texts": ["A gripping film."]}
EXAMPLE_RESULT: dict[str, Any] = {
    "label": "positive",
    "probabilities": {"positive": 0.9654615681, "negative": 0.0345384319},
    "tokens": [
        {"text": "A", "start": 0, "end": 1, "attention": 0.1625432},
        {"text": "gripping", "start": 2, "end": 10, "attention": 0.3703505},
        {"text": "film", "start": 11, "end": 15, "attention": 0.2211992},
        {"text": ".", "start": 15, "end": 16, "attention": 0.2459071},
    ],
    "truncated": False,
}
EXAMPLE_ANSWER = {"model": "sentiment", "version": "1.0.0"} | EXAMPLE_RESULT
EXAMPLE_BATCH_ANSWER = {"model": "sentiment", "version": "1.0.0", "results": [EXAMPLE_RESULT]}
EXAMPLE_MODEL: dict[str, Any] = {
    "name": "sentiment",
    "version": "1.0.0",
    "labels": ["negative", "positive"],
    "max_tokens": 256,
    "min_confidence": 0.6,
    "sha256": {"model.onnx": 64 * "0", "tokenizer.json": 64 * "1"},
    "scores": {"test": {"accuracy": 0.83, "macro_f1": 0.83, "ece": 0.02, "n": 1821}},
    "training": {"data": "sst2", "rows": 67349, "seed": 0},
    "provider": "CPUExecutionProvider",
}


EXAMPLE_METRICS = "# TYPE heed_queue_tokens gauge\nheed_queue_tokens 0.0\n"
STRING = {"type": "string"}
EVERY_RESPONSE = {
    "X-Request-Id": {
        "description": "The id of the request: the client's, or a new one.",
        "schema": STRING,
    }
}
HEADERS = {
    401: {"WWW-Authenticate": {"description": "How to send a key.", "schema": STRING}},
    429: {"Retry-After": {"description": "Seconds to wait.", "schema": STRING}},
    503: {"Retry-After": {"description": "Seconds to wait, if known.", "schema": STRING}},
}
"""Headers of a response, by its status."""


def route_docs(
    summary: str,
    schema: Any,
    example: Any,
    errors: tuple[int, ...],
    body: tuple[type[BaseModel], Any] | None = None,
    media_type: str = "application/json",
) -> dict[str, Any]:
    """Return the arguments of a route's decorator that document it.

    Args:
        summary: a few words.
        schema: type of the response's JSON; None for another media type.
        example: a response.
        errors: status codes; a route with 401 needs a key if the server has keys.
        body: type of the request's JSON, and an example.
        media_type: of the response.
    """
    extra: dict[str, Any] = {"security": [{"key": []}, {}]} if Unauthorized.status in errors else {}
    if body is not None:
        content = {"application/json": {"schema": _ref(body[0]), "example": body[1]}}
        extra["requestBody"] = {"required": True, "content": content}
    success = {
        "description": "The answer.",
        "headers": EVERY_RESPONSE,
        "content": {media_type: {"example": example}},
    }
    return {
        "summary": summary,
        "response_model": schema,
        "responses": {200: success} | {status: _error_doc(status) for status in errors},
        "openapi_extra": extra,
    }


def openapi_document(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document of the app."""
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        servers=[{"url": ".", "description": "The server of this document."}],
    )
    components = document["components"]
    components["securitySchemes"] = {"key": BEARER}
    schemas = components["schemas"]
    for kind in (*REQUESTS, Problem, InvalidProblem):
        schema = TypeAdapter(kind).json_schema(ref_template=REF)
        schemas |= schema.pop("$defs", {}) | {kind.__name__: schema}
    # FastAPI adds a 422 to the only route with a parameter, which accepts any string.
    del document["paths"]["/models/{name}"]["get"]["responses"]["422"]
    del schemas["HTTPValidationError"], schemas["ValidationError"]
    for kind in REQUESTS:
        for field in schemas[kind.__name__]["properties"].values():
            # Code generators make a field with a default required. The description names it.
            field.pop("default", None)
    for schema in schemas.values():
        # A client must accept the fields that a later version adds.
        schema.setdefault("additionalProperties", True)
        _replace_any_of(schema)
    return document


def _replace_any_of(schema: Any) -> None:
    """Write alternatives as `oneOf`, and a value that may be null as a list of types.

    Code generators merge the alternatives of `anyOf` into one type.
    """
    if isinstance(schema, list):
        for item in schema:
            _replace_any_of(item)
    elif isinstance(schema, dict):
        if alternatives := schema.pop("anyOf", None):
            other, last = alternatives[0], alternatives[-1]
            if len(alternatives) == 2 and last == {"type": "null"} and "type" in other:
                schema.update(other, type=[other["type"], "null"])
            else:
                schema["oneOf"] = alternatives
        for value in schema.values():
            _replace_any_of(value)


def _ref(schema: Any) -> dict[str, str]:
    return {"$ref": REF.format(model=schema.__name__)}


def _error_doc(status: int) -> dict[str, Any]:
    kinds = [kind for kind in ServiceError.__subclasses__() if kind.status == status]
    example = (
        Invalid([(["body", "text"], "Field required")])
        if status == Invalid.status
        else kinds[-1](_sentence(kinds[-1]))
    )
    return {
        "headers": EVERY_RESPONSE | HEADERS.get(status, {}),
        "description": " ".join(map(_sentence, kinds)),
        "content": {
            "application/problem+json": {
                "schema": _ref(InvalidProblem if status == Invalid.status else Problem),
                "example": problem_of(example, EXAMPLE_ID),
            }
        },
    }


def _sentence(kind: type[ServiceError]) -> str:
    return (kind.__doc__ or "").splitlines()[0]
