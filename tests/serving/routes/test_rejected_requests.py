"""Error responses of a real server: every status that a single request can get."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.checks import check_invalid, check_problem
from tests.support.server import Server

BASE: dict[str, Any] = {"text": "a film"}
INVALID: list[tuple[Any, list[str | int]]] = [
    ({}, ["body", "text"]),
    ([], ["body"]),
    (None, ["body"]),
    ('"text"', ["body"]),
    ({"text": 1}, ["body", "text"]),
    ({"text": None}, ["body", "text"]),
    ({"text": ""}, ["body", "text"]),
    ({"text": " \n\u200b\0"}, ["body", "text"]),
    (BASE | {"unknown": 1}, ["body", "unknown"]),
    (BASE | {"model": 1}, ["body", "model"]),
    (BASE | {"explain": "all"}, ["body", "explain"]),
    (BASE | {"explain": None}, ["body", "explain"]),
    (BASE | {"explain_label": "unknown"}, ["body", "explain_label"]),
    (BASE | {"explain_label": "unknown", "explain": "none"}, ["body", "explain_label"]),
    (BASE | {"unit": "letter"}, ["body", "unit"]),
    (BASE | {"truncate": 1}, ["body", "truncate"]),
    (BASE | {"truncate": "true"}, ["body", "truncate"]),
    (BASE | {"top_k": 0}, ["body", "top_k"]),
    (BASE | {"top_k": True}, ["body", "top_k"]),
    (BASE | {"top_k": 1.0}, ["body", "top_k"]),
    (BASE | {"top_k": "1"}, ["body", "top_k"]),
    (BASE | {"min_confidence": True}, ["body", "min_confidence"]),
    (BASE | {"min_confidence": 1.1}, ["body", "min_confidence"]),
    (BASE | {"min_confidence": "0.5"}, ["body", "min_confidence"]),
]


@pytest.mark.parametrize(("body", "location"), INVALID)
def test_invalid_fields_are_422(server: Server, body: Any, location: list[str | int]) -> None:
    check_invalid(server.post(body), location)


@pytest.mark.parametrize(
    ("body", "location"),
    [
        (r'{"text": "\ud800"}', ["body", "text"]),
        (r'{"text": "a", "model": "\udc00x"}', ["body", "model"]),
        (r'{"text": "a", "\ud800": 1}', ["body"]),
        ('{"text": "a", "min_confidence": NaN}', ["body", "min_confidence"]),
        ('{"text": "a", "min_confidence": -Infinity}', ["body", "min_confidence"]),
        ('{"text": "a", "min_confidence": 1e999}', ["body", "min_confidence"]),
        ('{"text": "a", "top_k": %s}' % ("9" * 5000), ["body", "top_k"]),
        ('{"text": %s}' % ("9" * 5000), ["body", "text"]),
    ],
)
def test_values_that_json_allows_and_the_service_does_not_are_422(
    server: Server, body: str, location: list[str | int]
) -> None:
    check_invalid(server.post(body), location)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"text": "a",}',
        b"{'text': 'a'}",
        b'{"text": "a"} {"text": "b"}',
        b'{"text": "a\x01"}',
        b'{"text": "caf\xe9"}',
        b'{"text": "\xed\xa0\x80"}',
        b'\xef\xbb\xbf{"text": "a"}',
        '{"text": "a"}'.encode("utf-16"),
        b"[" * 100_000,
        b'{"text": "a", "x": ' + b"[" * 300 + b"]" * 300 + b"}",
        b'{"text": "a", "x": ' + b'{"x":' * 5000 + b"1" + b"}" * 5001,
    ],
    ids=range(13),
)
def test_malformed_json_is_400(server: Server, body: bytes) -> None:
    check_problem(server.post(body), 400)


def test_the_last_of_two_equal_names_counts(server: Server) -> None:
    doubled = server.post('{"text": "a", "text": "film"}')
    assert doubled.json() == server.post({"text": "film"}).json()


@pytest.mark.parametrize(
    ("texts", "locations"),
    [
        ([], [["body", "texts"]]),
        ("text", [["body", "texts"]]),
        (["a", " ", "b", ""], [["body", "texts", 1], ["body", "texts", 3]]),
        (["a", 1, "b", None], [["body", "texts", 1], ["body", "texts", 3]]),
        (["a", "\ud800"], [["body", "texts", 1]]),
    ],
)
def test_invalid_texts_of_a_batch_are_422(
    server: Server, texts: Any, locations: list[list[str | int]]
) -> None:
    body = json.dumps({"texts": texts})
    check_invalid(server.post(body, "/classify/batch"), *locations)


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json", 200),
        ("Application/JSON", 200),
        ("application/json; charset=utf-8", 200),
        ('application/json ; charset = "UTF-8"', 200),
        ("application/json; version=1", 200),
        ("application/json; charset=latin-1", 415),
        ("application/jsonlines", 415),
        ("application/json, text/plain", 415),
        ("text/plain", 415),
        ("", 415),
        (None, 415),
    ],
)
def test_other_content_types_are_415(server: Server, kind: str | None, status: int) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    response = server.post(b'{"text": "a"}', headers=headers)
    assert response.status_code == status
    if status != 200:
        check_problem(response, status)


def test_an_unknown_model_is_404_and_too_many_texts_are_413(server: Server) -> None:
    check_problem(server.post({"text": "a", "model": "unknown"}), 404)
    check_problem(server.post({"texts": ["a"], "model": "unknown"}, "/classify/batch"), 404)
    assert server.post({"texts": ["a"] * 1024}, "/classify/batch").status_code == 200
    check_problem(server.post({"texts": ["a"] * 1025}, "/classify/batch"), 413)
    check_problem(server.post({"texts": [1] * 500_000}, "/classify/batch"), 413)


def test_a_hundred_thousand_faults_are_one_fault(server: Server) -> None:
    check_invalid(server.post({str(number): 1 for number in range(100_000)}), ["body"])


@pytest.mark.parametrize(
    "path",
    [
        *("/nope", "/classify/", "//classify", "/static/nope", "/static/", "/docs/static/nope"),
        *("/static/%2e%2e/app.py", "/docs/static/..%2f..%2fcore.py", "/static/%00", "/%ff"),
    ],
)
def test_unknown_paths_are_404(server: Server, path: str) -> None:
    check_problem(server.get(path), 404)


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/classify", "POST"),
        ("HEAD", "/classify", "POST"),
        ("OPTIONS", "/classify", "POST"),
        ("DELETE", "/classify/batch", "POST"),
        ("POST", "/models", "GET, HEAD"),
        ("PUT", "/healthz", "GET, HEAD"),
        ("POST", "/", "GET, HEAD"),
        ("POST", "/docs", "GET, HEAD"),
        ("POST", "/openapi.json", "GET, HEAD"),
        ("POST", "/static/app.js", "GET, HEAD"),
        ("BREW", "/classify", "POST"),
    ],
)
def test_wrong_methods_are_405_with_allow(
    server: Server, method: str, path: str, allow: str
) -> None:
    response = server.request(method, path)
    assert response.status_code == 405
    assert response.headers["Allow"] == allow
    if method != "HEAD":
        check_problem(response, 405)


@pytest.mark.parametrize("path", ["/", "/docs", "/healthz", "/models", "/openapi.json"])
def test_head_is_get_without_a_body(server: Server, path: str) -> None:
    head = server.request("HEAD", path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == str(len(server.get(path).content))


@pytest.mark.parametrize("path", ["/", "/docs", "/static/app.js"])
def test_range_headers_are_ignored(server: Server, path: str) -> None:
    whole = server.get(path)
    for part in ("bytes=0-3", "bytes=999999-", "lines=1"):
        response = server.request("GET", path, headers={"Range": part})
        assert (response.status_code, response.content) == (200, whole.content)
        assert response.headers["Accept-Ranges"] == "none"


def test_an_offer_of_http_2_is_answered_in_http_1(server: Server) -> None:
    offer = {
        "Connection": "Upgrade, HTTP2-Settings",
        "Upgrade": "h2c",
        "HTTP2-Settings": "AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
        "Content-Type": "application/json",
    }
    for _ in range(2):
        response = server.post({"text": "a film"}, headers=offer)
        assert response.status_code == 200
        assert response.http_version == "HTTP/1.1"


def test_pages_have_a_strict_policy_and_use_no_other_host(server: Server) -> None:
    for path in ("/", "/docs"):
        response = server.get(path)
        policy = response.headers["Content-Security-Policy"]
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "http" not in policy
    assert b"SwaggerUIBundle" in server.get("/docs/static/swagger-ui-bundle.js").content


# Random bodies.

NAMES = st.sampled_from(["text", "texts", "model", "explain", "top_k", "truncate", "unit", "x"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=8,
)
BODIES = st.one_of(
    st.binary(max_size=200),
    st.dictionaries(NAMES, VALUES, max_size=5).map(lambda tree: json.dumps(tree).encode()),
    st.builds(lambda text: json.dumps({"text": text, "texts": [text]}).encode(), st.text()),
    st.builds(lambda text: json.dumps({"text": text}).encode(), st.text(max_size=50)),
)


@settings(max_examples=150, deadline=None)
@given(body=BODIES, path=st.sampled_from(["/classify", "/classify/batch"]))
def test_no_body_is_a_500(server: Server, body: bytes, path: str) -> None:
    response = server.post(body, path)
    if response.status_code != 200:
        assert response.status_code in (400, 404, 413, 422), response.text
        check_problem(response, response.status_code)
    json.loads(response.content, parse_constant=lambda name: pytest.fail(f"{name} in the answer"))
