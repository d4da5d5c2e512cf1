"""Ray Serve: one replica, `serve.batch` of up to 32 requests within 2 ms.

https://docs.ray.io/en/latest/serve/advanced-guides/dyn-req-batch.html.
"""

import logging
import signal
import sys
from typing import Any

import ray
from predict import Predictor
from ray import serve
from starlette.requests import Request


@serve.deployment(num_replicas=1, max_ongoing_requests=128, ray_actor_options={"num_cpus": 1})
class Classify:
    """The deployment."""

    def __init__(self) -> None:
        self.predictor = Predictor()

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.002)
    async def classify(self, texts: list[str]) -> list[dict[str, Any]]:
        """Classify a batch."""
        return self.predictor.predict(texts)

    async def __call__(self, request: Request) -> dict[str, Any]:
        """Answer one request."""
        body = await request.json()
        answer: dict[str, Any] = await self.classify(body["text"])
        return answer


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    ray.init(num_cpus=2, include_dashboard=False, logging_level=logging.WARNING)
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    try:
        serve.run(
            Classify.bind(),
            name="classify",
            route_prefix="/classify",
            logging_config={"log_level": "WARNING", "enable_access_log": False},
        )
        signal.pause()
    finally:
        serve.shutdown()
        ray.shutdown()
