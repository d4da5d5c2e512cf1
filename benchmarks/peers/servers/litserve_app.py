"""LitServe: batches of up to 32 requests within 2 ms, and its fast queue.

https://lightning.ai/docs/litserve/features/batching.
"""

import sys
from typing import Any

import litserve as ls
from predict import Predictor


class Classify(ls.LitAPI):  # type: ignore[misc]
    """The four steps of a request."""

    def setup(self, device: str) -> None:
        """Load the model once in each worker."""
        del device
        self.predictor = Predictor()

    def decode_request(self, request: dict[str, str]) -> str:
        """Return the text of a body."""
        return request["text"]

    def batch(self, inputs: list[str]) -> list[str]:
        """Return the batch as a list."""
        return inputs

    def predict(self, x: list[str]) -> list[dict[str, Any]]:
        """Classify a batch."""
        return self.predictor.predict(x)

    def unbatch(self, output: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the answers as a list."""
        return output

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        """Return the answer unchanged."""
        return output


if __name__ == "__main__":
    api = Classify(max_batch_size=32, batch_timeout=0.002, api_path="/classify")
    server = ls.LitServer(api, accelerator="cpu", workers_per_device=1, fast_queue=True)
    server.run(
        host="127.0.0.1",
        port=int(sys.argv[1]),
        log_level="warning",
        generate_client_file=False,
        access_log=False,
    )
