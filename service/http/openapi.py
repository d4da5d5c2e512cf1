"""What the OpenAPI document says of bodies, answers, errors and keys."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, TypeAdapter

from heed.service.errors import STATUS, Invalid, ServiceError
from heed.service.http.schemas import (
    BatchRequest,
    ClassifyRequest,
    InvalidProblem,
    Problem,
)

REF = "#/components/schemas/{model}"

GUARDED: dict[str, Any] = {"security": [{"key": []}, {}]}
"""A key is needed where the server was given some."""

EXAMPLE_REQUEST = {"text": "A gripping film."}
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


def asks(schema: type[BaseModel], example: dict[str, Any]) -> dict[str, Any]:
    """The request body of a route that parses it by itself."""
    content = {"application/json": {"schema": _ref(schema), "example": example}}
    return {"requestBody": {"required": True, "content": content}}


def answers(example: Any, media_type: str = "application/json") -> dict[int | str, dict[str, Any]]:
    """A route's answer, by example; its schema comes from the route."""
    return {200: {"description": "The answer.", "content": {media_type: {"example": example}}}}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors of a route, each with its body."""
    return {status: _problem(status) for status in statuses}


def describe(app: FastAPI) -> None:
    """Let `app` write its document, once, when it is asked for."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    components = document.setdefault("components", {})
    components["securitySchemes"] = {
        "key": {
            "type": "http",
            "scheme": "bearer",
            "description": "One of the keys in --api-keys-file, where the server has one.",
        }
    }
    schemas = components.setdefault("schemas", {})
    for kind in (ClassifyRequest, BatchRequest, Problem, InvalidProblem):
        schema = TypeAdapter(kind).json_schema(ref_template=REF)
        schemas |= schema.pop("$defs", {}) | {kind.__name__: schema}
    # FastAPI adds an error of its own to every route with a parameter; these take any string.
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for methods in document["paths"].values():
        for operation in methods.values():
            error = operation["responses"].get("422", {}).get("content", {})
            if "application/json" in error:
                del operation["responses"]["422"]
    return document


def _ref(schema: Any) -> dict[str, str]:
    return {"$ref": REF.format(model=schema.__name__)}


HEADERS = {
    401: {"WWW-Authenticate": "How to send a key."},
    429: {"Retry-After": "Seconds after which to try again."},
    503: {"Retry-After": "Seconds after which to try again, where that is known."},
}
"""Of an answer, by its status, and what each says."""


def _problem(status: int) -> dict[str, Any]:
    kinds = [kind for kind, code in STATUS.items() if code == status]
    return {
        "headers": {
            name: {"description": text, "schema": {"type": "string"}}
            for name, text in HEADERS.get(status, {}).items()
        },
        "description": " ".join((kind.__doc__ or "").splitlines()[0] for kind in kinds),
        "content": {
            "application/problem+json": {
                "schema": _ref(InvalidProblem if status == 422 else Problem),
                "example": _example(kinds[-1]),
            }
        },
    }


def _example(kind: type[ServiceError]) -> dict[str, Any]:
    if kind is Invalid:
        return Invalid([(["body", "text"], "Field required")]).problem()
    return kind(kind.__doc__ or "").problem()
