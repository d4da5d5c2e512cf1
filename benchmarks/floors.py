"""The floor below which no server gets: tokenize and run in a bare loop.

`python -m benchmarks.floors BUNDLE DEVICE SECONDS`, on the core of the server, prints JSON.
It uses the two libraries themselves, nothing of this repository but the texts.
"""

import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import tokenizers

from benchmarks.texts import SENTENCES, texts_of
from heed.model.inference.bundle import Bundle

BATCH = 64
RUN = 16
"""Texts of a run: what is quickest here, among 8, 16, 32 and 64."""


class Loop:
    """A tokenizer and a session, as any server would have them."""

    def __init__(self, bundle: Path, max_tokens: int, provider: str) -> None:
        self._max_tokens = max_tokens
        self._tokenizer = tokenizers.Tokenizer.from_file(str(bundle / "tokenizer.json"))
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = ort.InferenceSession(bundle / "model.onnx", options, providers=[provider])

    def one(self, text: str) -> None:
        """One text."""
        self._run([self._ids(text)], ["logits", "attention"])

    def batch(self, texts: Sequence[str], outputs: list[str]) -> None:
        """Many texts: tokenized, sorted by length, run `RUN` at a time."""
        rows = [self._ids(text) for text in texts]
        rows.sort(key=len)
        for start in range(0, len(rows), RUN):
            self._run(rows[start : start + RUN], outputs)

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids[: self._max_tokens]

    def _run(self, rows: list[list[int]], outputs: list[str]) -> list[Any]:
        ids = np.zeros((len(rows), len(rows[-1])), np.int64)
        for row, filled in zip(rows, ids, strict=True):
            filled[: len(row)] = row
        found: list[Any] = self._session.run(outputs, {"input_ids": ids})
        return found


def main() -> None:
    """Print seconds a text."""
    path, device, seconds = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    bundle = Bundle.load(path)
    provider = "CUDAExecutionProvider" if device == "cuda" else "CPUExecutionProvider"
    loop = Loop(path, bundle.config.max_tokens, provider)
    texts = texts_of(bundle, SENTENCES, 4 * BATCH)
    found = {}
    times = _repeat(loop.one, texts, seconds)
    found["one"] = statistics.mean(times)
    found["one_p50"] = statistics.median(times)
    batches = [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]
    for name, outputs in (("none", ["logits"]), ("attention", ["logits", "attention"])):
        times = _repeat(partial(loop.batch, outputs=outputs), batches, seconds)
        found[name] = statistics.mean(times) / BATCH
    json.dump(found, sys.stdout)


def _repeat(work: Callable[[Any], None], items: Sequence[Any], seconds: float) -> list[float]:
    for item in items[:4]:
        work(item)
    times: list[float] = []
    end = time.perf_counter() + seconds
    for item in itertools.cycle(items):
        started = time.perf_counter()
        if started > end:
            return times
        work(item)
        times.append(time.perf_counter() - started)
    return times


if __name__ == "__main__":
    main()
