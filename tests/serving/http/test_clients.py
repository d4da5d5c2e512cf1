"""Who a client is, how often it may ask, which pages may call the server, and path prefixes."""

import http.client
import json
import re
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.support.server import TIMEOUT_SECONDS, Server, serve

BODY = json.dumps({"text": "a film", "explain": "none"}).encode()
JSON = {"Content-Type": "application/json"}
ORIGIN = "https://app.example.org"
PREFIX = "/tools/heed"


@pytest.fixture(scope="module")
def limited(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[Server]:
    """A server with two workers and all limits on clients."""
    keys = tmp_path_factory.mktemp("keys") / "keys"
    keys.write_text("first-key\nshop second-key\n")
    flags = ["--rate-limit", "0.01", "--trusted-proxies", "127.0.0.1,10.0.0.0/8"]
    flags += ["--api-keys-file", str(keys), "--workers", "2"]
    flags += ["--allow-origin", ORIGIN, "--allow-origin", "http://localhost:3000"]
    with serve(trained, *flags) as running:
        yield running


def post(server: Server, **headers: str) -> tuple[int, dict[str, str]]:
    """Send a request on a connection of its own; return status and headers."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=TIMEOUT_SECONDS)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("POST", "/classify", BODY, JSON | named)
    response = connection.getresponse()
    response.read()
    connection.close()
    return response.status, {name.lower(): value for name, value in response.getheaders()}


def test_the_rate_of_a_key_holds_over_all_workers(limited: Server) -> None:
    for key in ("first-key", "second-key"):
        answers = [post(limited, Authorization=f"Bearer {key}") for _ in range(6)]
        assert [status for status, _ in answers] == [200, 429, 429, 429, 429, 429]
        headers = answers[-1][1]
        assert (headers["ratelimit-limit"], headers["ratelimit-remaining"]) == ("1", "0")
        assert 0 < int(headers["retry-after"]) <= 100
        assert headers["ratelimit-reset"] == headers["retry-after"]
        assert headers["content-type"] == "application/problem+json"


def test_a_client_without_a_key_is_its_address(limited: Server) -> None:
    def statuses(addresses: list[str]) -> list[int]:
        return [post(limited, X_Forwarded_For=address)[0] for address in addresses]

    # The last address that no trusted proxy has; whatever a client wrote itself comes before.
    same = ["8.8.8.8", "1.1.1.1, 8.8.8.8", "8.8.8.8, 10.1.2.3", "8.8.8.8, 10.1.2.3, 127.0.0.1"]
    assert statuses(same) == [401, 429, 429, 429]
    assert statuses(["8.8.4.4", "8.8.8.8, 9.9.9.9"]) == [401, 401]
    network = ["2001:db8:1:2::1", "2001:db8:1:2:ffff::2", "2001:db8:1:3::1"]
    assert statuses(network) == [401, 429, 401]


def test_open_paths_have_no_rate(limited: Server) -> None:
    assert {limited.get(path).status_code for path in ["/healthz", "/metrics", "/"] * 3} == {200}


def test_a_preflight_needs_no_key(limited: Server) -> None:
    headers = {
        "Origin": ORIGIN,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type",
    }
    for _ in range(3):
        response = limited.request("OPTIONS", "/classify", headers=headers)
        assert response.status_code == 200
        assert response.headers["Access-Control-Allow-Origin"] == ORIGIN
    headers["Origin"] = "https://other.example.org"
    response = limited.request("OPTIONS", "/classify", headers=headers)
    assert "Access-Control-Allow-Origin" not in response.headers


def test_a_page_of_an_allowed_origin_may_read_answers_and_errors(limited: Server) -> None:
    status, headers = post(limited, Origin="http://localhost:3000", X_Forwarded_For="7.7.7.7")
    assert (status, headers["access-control-allow-origin"]) == (401, "http://localhost:3000")
    assert "Retry-After" in headers["access-control-expose-headers"]
    assert limited.request("GET", "/healthz", headers={"Origin": ORIGIN}).headers[
        "Access-Control-Allow-Origin"
    ]
    other = limited.request("GET", "/healthz", headers={"Origin": "https://other.example.org"})
    assert "Access-Control-Allow-Origin" not in other.headers


def test_without_the_option_no_page_of_another_origin_may_read_answers(server: Server) -> None:
    headers = {"Origin": ORIGIN}
    response = server.request("GET", "/healthz", headers=headers)
    assert not [name for name in response.headers if name.startswith("access-control")]


def test_forwarded_addresses_of_unknown_proxies_are_ignored(trained: Path) -> None:
    with serve(trained, "--rate-limit", 0.01) as server:
        statuses = [post(server, X_Forwarded_For=f"8.8.8.{n}")[0] for n in range(3)]
        assert statuses == [200, 429, 429]


def test_every_path_works_behind_a_prefix_that_a_proxy_strips(trained: Path) -> None:
    with serve(trained, "--root-path", PREFIX) as server:
        assert server.post(BODY).status_code == 200
        metric = 'heed_requests_total{model="reviews",route="/classify",status="200"}'
        assert server.metric(metric) == 1
        assert server.get("/models/reviews").status_code == 200
        assert server.get("/openapi.json").json()["servers"][0]["url"] == PREFIX
        for page in ("/", "/docs"):
            check_links(server, page)


def test_pages_have_only_relative_links(server: Server) -> None:
    for page in ("/", "/docs"):
        check_links(server, page)
    script = server.get("/static/docs.js").text
    assert re.findall(r'url: "(.+?)"', script) == ["openapi.json"]


def check_links(server: Server, page: str) -> None:
    """Check that a page links to files of the server by paths relative to its own."""
    response = server.get(page)
    assert response.status_code == 200
    links = re.findall(r'(?:src|href)="(?!https?:|#|data:)(.+?)"', response.text)
    assert links
    for link in links:
        assert not link.startswith("/")
        assert server.get("/" + link).status_code == 200, link
