"""Small requests at the same time as large ones, on the real server."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx

from tests.support.server import Server, serve

LARGE = {"texts": ["a film for all who love it " * 60] * 1024, "explain": "none"}


def test_small_requests_are_answered_while_a_larger_one_than_the_queue_runs(trained: Path) -> None:
    """From the same address, with a queue that one hundredth of the large request fills."""
    answered = threading.Event()

    def post_large(server: Server) -> httpx.Response:
        with httpx.Client(timeout=60) as client:
            return client.post(f"{server.url}/classify/batch", json=LARGE)

    def post_until(server: Server, large: "Future[httpx.Response]") -> list[int]:
        statuses = []
        while not large.done():
            statuses.append(server.post({"text": "a film"}).status_code)
            answered.set()
        return statuses

    with serve(trained, "--max-queue", 10_000) as server, ThreadPoolExecutor(5) as pool:
        for _ in range(3):
            large = pool.submit(post_large, server)
            callers = [pool.submit(post_until, server, large) for _ in range(4)]
            response = large.result()
            assert response.status_code == 200
            assert len(response.json()["results"]) == 1024
            statuses = [status for caller in callers for status in caller.result()]
            assert set(statuses) == {200}
            assert len(statuses) > 4, "they were answered after the large request"
        assert server.metric("heed_queue_tokens") == 0
        assert server.metric('heed_refusals_total{kind="queue_full"}') == 0


def test_several_large_requests_on_a_small_queue_are_answered_or_rejected(trained: Path) -> None:
    def post(_: int) -> int:
        return server.post(LARGE, "/classify/batch").status_code

    with serve(trained, "--max-queue", 1) as server, ThreadPoolExecutor(6) as pool:
        statuses = list(pool.map(post, range(6)))
        assert 200 in statuses
        assert set(statuses) <= {200, 429}
        assert server.post({"text": "a film"}).status_code == 200
        assert server.metric("heed_queue_tokens") == 0
