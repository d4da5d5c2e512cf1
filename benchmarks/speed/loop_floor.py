"""The lowest time of any server with this model: tokenize and run in a bare loop.

`python -m benchmarks.speed.loop_floor BUNDLE DEVICE SECONDS` prints JSON. It calls tokenizers and
onnxruntime directly, and takes nothing from Heed but the texts.
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

from benchmarks.load.texts import make_texts
from heed.model.inference import Bundle

BATCH = 64
TEXTS_A_RUN = 16
"""The fastest of 8, 16, 32 and 64."""


class Loop:
    """A tokenizer and a session."""

    def __init__(self, bundle: Path, max_tokens: int, provider: str) -> None:
        self._max_tokens = max_tokens
        self._tokenizer = tokenizers.Tokenizer.from_file(str(bundle / "tokenizer.json"))
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = ort.InferenceSession(bundle / "model.onnx", options, providers=[provider])

    def one(self, text: str) -> None:
        """Run one text."""
        self._run([self._ids(text)], ["logits", "attention"])

    def batch(self, texts: Sequence[str], outputs: list[str]) -> None:
        """Tokenize many texts, sort them by length, and run `TEXTS_A_RUN` at a time."""
        rows = [self._ids(text) for text in texts]
        rows.sort(key=len)
        for start in range(0, len(rows), TEXTS_A_RUN):
            self._run(rows[start : start + TEXTS_A_RUN], outputs)

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return ids[: self._max_tokens]

    def _run(self, rows: list[list[int]], outputs: list[str]) -> list[Any]:
        ids = np.zeros((len(rows), len(rows[-1])), np.int64)
        for row, padded in zip(rows, ids, strict=True):
            padded[: len(row)] = row
        values: list[Any] = self._session.run(outputs, {"input_ids": ids})
        return values


def main() -> None:
    """Print the seconds a text, alone and in batches."""
    path, device, seconds = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
    bundle = Bundle.load(path)
    provider = "CUDAExecutionProvider" if device == "cuda" else "CPUExecutionProvider"
    loop = Loop(path, bundle.config.max_tokens, provider)
    texts = make_texts(bundle, 4 * BATCH)
    seconds_a_text = {}
    times = _time_repeatedly(loop.one, texts, seconds)
    seconds_a_text["one"] = statistics.mean(times)
    seconds_a_text["one_p50"] = statistics.median(times)
    batches = [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]
    for name, outputs in (("none", ["logits"]), ("attention", ["logits", "attention"])):
        times = _time_repeatedly(partial(loop.batch, outputs=outputs), batches, seconds)
        seconds_a_text[name] = statistics.mean(times) / BATCH
    json.dump(seconds_a_text, sys.stdout)


def _time_repeatedly(
    work: Callable[[Any], None], items: Sequence[Any], seconds: float
) -> list[float]:
    """Return the seconds of each call, until `seconds` have passed."""
    for item in items[:4]:  # warm up
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
