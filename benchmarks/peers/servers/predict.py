"""The same bundle, tokenizer and answer for every server, by onnxruntime on one thread.

It imports nothing of Heed, so that an environment holds only what its server needs.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import tokenizers

DECIMALS = 7
"""Of a weight; float32 holds no more digits, and writing them would take time."""


class Predictor:
    """A tokenizer and a session."""

    def __init__(self) -> None:
        bundle = Path(os.environ["BUNDLE"])
        config = json.loads((bundle / "config.json").read_text(encoding="utf-8"))
        self._labels: list[str] = config["labels"]
        self._temperature: float = config["temperature"]
        self._max_tokens: int = config["max_tokens"]
        self._tokenizer = tokenizers.Tokenizer.from_file(str(bundle / "tokenizer.json"))
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        provider = os.environ.get("PROVIDER", "CPUExecutionProvider")
        self._session = ort.InferenceSession(bundle / "model.onnx", options, providers=[provider])

    def predict(self, texts: list[str]) -> list[dict[str, Any]]:
        """Return label, probabilities and tokens of each text, from one batch."""
        encodings = [self._tokenizer.encode(text, add_special_tokens=False) for text in texts]
        lengths = [min(len(encoding.ids), self._max_tokens) for encoding in encodings]
        ids = np.zeros((len(texts), max(lengths)), np.int64)
        for row, encoding, length in zip(ids, encodings, lengths, strict=True):
            row[:length] = encoding.ids[:length]
        logits, attention = self._session.run(["logits", "attention"], {"input_ids": ids})
        logits = logits.astype(np.float64) / self._temperature
        exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities = exponents / exponents.sum(axis=1, keepdims=True)
        weights_of = attention.astype(np.float64).round(DECIMALS)
        return [
            {
                "label": self._labels[int(shares.argmax())],
                "probabilities": dict(zip(self._labels, shares.tolist(), strict=True)),
                "tokens": [
                    {"text": text[start:end], "start": start, "end": end, "attention": weight}
                    for (start, end), weight in zip(
                        encoding.offsets[:length], weights[:length].tolist(), strict=True
                    )
                ],
            }
            for text, encoding, length, shares, weights in zip(
                texts, encodings, lengths, probabilities, weights_of, strict=True
            )
        ]
