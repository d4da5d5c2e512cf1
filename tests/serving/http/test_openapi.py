"""The OpenAPI document is valid and complete, and the responses match it."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate

from heed.service.errors import ServiceError
from tests.support.server import Server

METHODS = {
    "/classify": ("post", {200, 400, 401, 404, 408, 413, 415, 422, 429, 500, 503, 504}),
    "/classify/batch": ("post", {200, 400, 401, 404, 408, 413, 415, 422, 429, 500, 503, 504}),
    "/models": ("get", {200, 401, 500}),
    "/models/{name}": ("get", {200, 401, 404, 500}),
    "/healthz": ("get", {200, 500, 503}),
    "/readyz": ("get", {200, 500, 503}),
    "/metrics": ("get", {200, 500}),
}


@pytest.fixture(scope="module")
def document(server: Server) -> Any:
    return server.get("/openapi.json").json()


def operation(document: Any, path: str) -> Any:
    return document["paths"][path][METHODS[path][0]]


def check(document: Any, schema: Any, value: Any) -> None:
    """Validate a value against a schema of the document."""
    OAS31Validator(schema | {"components": document["components"]}).validate(value)


def objects(schema: Any) -> Iterator[Any]:
    """Yield every schema with properties."""
    for value in schema.values() if isinstance(schema, dict) else schema:
        if isinstance(value, dict | list):
            yield from objects(value)
    if isinstance(schema, dict) and isinstance(schema.get("properties"), dict):
        yield schema


def test_the_document_is_valid(document: Any) -> None:
    validate(document)
    assert document["openapi"].startswith("3.1")


def test_every_route_is_documented_with_every_status(document: Any) -> None:
    assert set(document["paths"]) == set(METHODS)
    for path, (method, statuses) in METHODS.items():
        assert set(document["paths"][path]) == {method}
        found = operation(document, path)
        assert {int(status) for status in found["responses"]} == statuses
        assert found["summary"]
        assert found["description"]
    names = [operation(document, path)["operationId"] for path in METHODS]
    assert len(set(names)) == len(names)


def test_every_field_is_described(document: Any) -> None:
    schemas = document["components"]["schemas"]
    for schema in objects(schemas):
        for name, field in schema["properties"].items():
            assert field.get("description"), (schema.get("title"), name)
    assert all(schema.get("description") for schema in schemas.values())


@pytest.mark.parametrize("path", METHODS)
def test_every_response_has_a_valid_example(document: Any, path: str) -> None:
    for status, response in operation(document, path)["responses"].items():
        assert response["description"]
        ((kind, content),) = response["content"].items()
        if status != "200":
            assert kind == "application/problem+json"
            assert content["example"]["status"] == int(status)
        check(document, content["schema"], content["example"])


@pytest.mark.parametrize("path", ["/classify", "/classify/batch"])
def test_responses_to_the_example_requests_match_their_schema(
    server: Server, document: Any, path: str
) -> None:
    content = operation(document, path)["requestBody"]["content"]["application/json"]
    check(document, content["schema"], content["example"])
    schema = operation(document, path)["responses"]["200"]["content"]["application/json"]["schema"]
    for options in ({}, {"explain": "contributions"}, {"explain": "none", "min_confidence": 1}):
        response = server.post(content["example"] | options, path)
        assert response.status_code == 200
        check(document, schema, response.json())


@pytest.mark.parametrize("path", ["/models", "/healthz", "/readyz"])
def test_real_responses_match_their_schema(server: Server, document: Any, path: str) -> None:
    schema = operation(document, path)["responses"]["200"]["content"]["application/json"]["schema"]
    check(document, schema, server.get(path).json())


def test_real_errors_match_their_schema(server: Server, document: Any) -> None:
    for body, status in (("{", "400"), ("{}", "422"), ('{"text":"a","model":"x"}', "404")):
        response = operation(document, "/classify")["responses"][status]
        schema = response["content"]["application/problem+json"]["schema"]
        check(document, schema, server.post(body).json())


def test_optional_fields_are_absent_and_not_null(document: Any) -> None:
    schemas = document["components"]["schemas"]
    assert "contribution" not in schemas["Token"]["required"]
    assert schemas["Token"]["properties"]["contribution"]["type"] == "number"
    assert "tokens" not in schemas["ClassifyResponse"]["required"]
    assert "null" in str(schemas["ClassifyResponse"]["properties"]["label"])


def test_the_schema_rejects_unknown_fields(document: Any) -> None:
    assert document["components"]["schemas"]["ClassifyRequest"]["additionalProperties"] is False
    texts = document["components"]["schemas"]["BatchRequest"]["properties"]["texts"]
    assert texts["minItems"] == 1
    assert (texts["items"]["type"], texts["items"]["minLength"]) == ("string", 1)


def test_guarded_routes_declare_the_key(document: Any) -> None:
    scheme = document["components"]["securitySchemes"]["key"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    for path in METHODS:
        guarded = path.startswith(("/classify", "/models"))
        assert ({"key": []} in operation(document, path).get("security", [])) == guarded


def test_every_documented_status_is_one_of_an_error_class(document: Any) -> None:
    documented = {status for _, statuses in METHODS.values() for status in statuses} - {200}
    assert documented == {kind.status for kind in ServiceError.__subclasses__()} - {405, 431}


REQUESTS = ("ClassifyRequest", "BatchRequest")


def test_a_request_needs_only_its_text_in_generated_clients(document: Any) -> None:
    schemas = document["components"]["schemas"]
    for name, required in zip(REQUESTS, ("text", "texts"), strict=True):
        assert schemas[name]["required"] == [required]
        for field, schema in schemas[name]["properties"].items():
            assert "default" not in schema
            if field != required:
                assert re.search("default|if absent", schema["description"]), field
    assert schemas["ClassifyRequest"]["properties"]["text"]["minLength"] == 1


def test_answers_may_get_fields_in_later_versions(document: Any) -> None:
    schemas = document["components"]["schemas"]
    assert all(
        schema["additionalProperties"] is True
        for name, schema in schemas.items()
        if name not in REQUESTS
    )


def test_alternatives_are_exclusive(document: Any) -> None:
    assert "anyOf" not in json.dumps(document)
    results = document["components"]["schemas"]["BatchResponse"]["properties"]["results"]
    references = [choice["$ref"].rsplit("/", 1)[1] for choice in results["items"]["oneOf"]]
    assert references == ["Result", "Failure"]


def test_reported_texts_match_the_schema(server: Server, document: Any) -> None:
    body = {"texts": ["a film", " ", "two films"], "on_error": "report"}
    content = operation(document, "/classify/batch")["responses"]["200"]["content"]
    check(
        document,
        content["application/json"]["schema"],
        server.post(body, "/classify/batch").json(),
    )


def test_the_server_is_where_the_document_is(document: Any) -> None:
    # So requests from /docs keep a path prefix that a proxy strips.
    assert [server["url"] for server in document["servers"]] == ["."]
