"""What the OpenAPI document says of bodies and errors."""

from typing import Any

from pydantic import BaseModel

from service.errors import STATUS, ServiceError
from service.schemas import InvalidProblem, Problem


def body(schema: type[BaseModel]) -> dict[str, Any]:
    """The request body of a route that parses it by itself."""
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": schema.model_json_schema()}},
        }
    }


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The errors of a route, each with its body."""
    return {status: _problem(status) for status in statuses}


def _problem(status: int) -> dict[str, Any]:
    kinds = [kind for kind, code in STATUS.items() if code == status]
    schema = InvalidProblem if status == 422 else Problem
    return {
        "description": "; ".join((kind.__doc__ or kind.title).splitlines()[0] for kind in kinds),
        "content": {
            "application/problem+json": {
                "schema": schema.model_json_schema(),
                "example": _example(kinds[0]),
            }
        },
    }


def _example(kind: type[ServiceError]) -> dict[str, Any]:
    error: Any = kind
    if kind.__name__ == "Invalid":
        problem: dict[str, Any] = error([(["body", "text"], "Field required")]).problem()
    else:
        problem = error("What is wrong here and how to mend it.").problem()
    return problem
