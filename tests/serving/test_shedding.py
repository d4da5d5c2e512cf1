"""What a full queue refuses by its head: as the routes refuse it, and the connection goes on."""

import http.client
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from heed.service.http.shedding import Shedder
from tests.serving.test_app import app_of, ask, ask_all, wait_until_ready
from tests.support.checks import check_problem
from tests.support.fakes import FakeClassifier
from tests.support.server import PATIENCE, Server, serve, wait_for

DATE = [(b"date", b"today")]


def parsed(answer: bytes) -> httpx.Response:
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return httpx.Response(int(first.split()[1]), headers=headers, content=body)


def test_it_says_what_the_routes_say(tmp_path: Path) -> None:
    fake = FakeClassifier()
    keys = tmp_path / "keys"
    keys.write_text("secret")
    with app_of(fake, max_queue=10_000) as client, ThreadPoolExecutor(3) as pool:
        wait_until_ready(client)
        service: Any = client.app.state.service  # type: ignore[attr-defined]
        shedder = Shedder(service)

        def shed(
            method: bytes = b"POST", url: bytes = b"/classify", length: int = 9, **more: bytes
        ) -> Any:
            headers = {b"content-type": b"application/json", b"content-length": b"%d" % length}
            headers |= {name.encode().replace(b"_", b"-"): value for name, value in more.items()}
            return shedder.refusal(method, url, [*headers.items()], DATE)

        limit = service.settings.max_body
        assert shed(length=limit) is None, "an empty queue admits a job of any size"
        fake.open.clear()
        fake.running.clear()
        pool.submit(ask, client, "abc")
        wait_for(fake.running.is_set)
        pool.submit(ask_all, client, *["x" * 199] * 188)
        wait_for(lambda: service.engine.batcher.waiting)
        assert service.engine.batcher.waiting == 188 * 50
        assert shed(length=2000) is None, "there is room"
        assert shed(length=4000) is not None
        assert shed(length=limit) is not None
        pool.submit(ask_all, client, *["x" * 199] * 12)
        wait_for(lambda: service.engine.batcher.waiting == 10_000)
        for url in (b"/classify", b"/classify/batch"):
            found, expected = parsed(shed(url=url)), ask(client, "a")
            assert check_problem(found, 429) == check_problem(expected, 429)
            assert dict(found.headers) == {"date": "today", **expected.headers}
        for method, other in [(b"GET", b"/classify"), (b"POST", b"/classify?a"), (b"POST", b"/")]:
            assert shed(method, other) is None
        assert shed(length=limit + 1) is None, "413 comes first"
        assert shed(content_type=b"text/plain") is None, "415 comes first"
        assert shed(expect=b"100-continue") is None
        assert 'heed_refusals_total{kind="queue_full"} 6.0' in client.get("/metrics").text
        for name, value in (("draining", True), ("warm", False)):
            before = getattr(service.lifecycle, name)
            setattr(service.lifecycle, name, value)
            assert shed() is None
            setattr(service.lifecycle, name, before)
        service.settings = service.settings.model_copy(update={"api_keys_file": keys})
        assert shed() is not None
        shedder = Shedder(service)
        assert shed() is None, "its key is looked at first"
        fake.open.set()


def test_connections_go_on(trained: Path) -> None:
    """Refused in the middle of a body, of one piece or of many, clients ask again."""
    texts = json.dumps({"texts": ["a film for all who love it " * 9] * 64}).encode()
    middle = len(texts) // 2

    def ask_often(server: Server, chunked: bool) -> list[int]:
        found = []
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
        for _ in range(15):
            halves: Iterator[bytes] = iter([texts[:middle], texts[middle:]])
            headers = {"Content-Type": "application/json"}
            if not chunked:
                headers["Content-Length"] = str(len(texts))
            connection.request("POST", "/classify/batch", halves, headers, encode_chunked=chunked)
            socket = connection.sock
            response = connection.getresponse()
            body = json.loads(response.read())
            found.append(response.status)
            assert connection.sock is socket, "it was hung up on"
            if response.status == 429:
                assert (response.headers["Retry-After"], body["status"]) == ("1", 429)
            else:
                assert len(body["results"]) == 64
        connection.close()
        return found

    with serve(trained, "--max-queue", 1) as server, ThreadPoolExecutor(8) as pool:
        found = pool.map(ask_often, [server] * 8, [n % 2 == 1 for n in range(8)])
        counts = Counter(status for statuses in found for status in statuses)
        assert set(counts) == {200, 429}
        assert server.metric('heed_refusals_total{kind="queue_full"}') == counts[429]
        assert server.metric("heed_queue_tokens") == 0
