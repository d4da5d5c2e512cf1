"""BentoML: a batchable endpoint in one worker. Run by `bentoml serve`.

https://docs.bentoml.com/en/latest/get-started/adaptive-batching.html. A batchable endpoint takes a
list, so a body here is {"texts": [TEXT]}.
"""

from typing import Any

import bentoml
from predict import Predictor


@bentoml.service(workers=1, traffic={"concurrency": 64}, logging={"access": {"enabled": False}})
class Classify:
    """The service."""

    def __init__(self) -> None:
        self.predictor = Predictor()

    @bentoml.api(route="/classify", batchable=True, max_batch_size=32, max_latency_ms=1000)
    def classify(self, texts: list[str]) -> list[dict[str, Any]]:
        """Classify a batch."""
        return self.predictor.predict(texts)
