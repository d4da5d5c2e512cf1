"""Time a text to be tokenized: `python -m benchmarks.speed.tokenizer BUNDLE FILE [ROUNDS]`.

Prints JSON with the microseconds a text, medians of the rounds: by the library `tokenizers`, by a
new `Tokenizer` of Heed whose cache is empty, and by the same one in a second pass over the file.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import tokenizers

from heed.model.data import read_texts
from heed.model.inference import TOKENIZER, Bundle
from heed.model.text import Tokenizer

MAX_TEXTS = 8_000
"""Texts of the file that are tokenized."""


def main() -> None:
    """Measure in turns and print JSON."""
    path, file = map(Path, sys.argv[1:3])
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    texts = read_texts(file).texts[:MAX_TEXTS]
    limit = Bundle.load(path).config.max_tokens
    document = (path / TOKENIZER).read_text("utf-8")
    library = tokenizers.Tokenizer.from_str(document)
    times: dict[str, list[float]] = {"library": [], "first_pass": [], "second_pass": []}
    for _ in range(rounds):
        times["library"].append(_time(library.encode, texts))
        encode = partial(Tokenizer.from_json(document).encode, max_tokens=limit)
        for name in ("first_pass", "second_pass"):
            times[name].append(_time(encode, texts))
    lengths = [len(library.encode(text).ids) for text in texts]
    medians = {name: round(statistics.median(each), 1) for name, each in times.items()}
    print(json.dumps({"texts": len(texts), "tokens": round(statistics.mean(lengths))} | medians))


def _time(encode: Callable[[str], Any], texts: list[str]) -> float:
    """Return the microseconds a text, including the access to its ids."""
    started = time.perf_counter()
    for text in texts:
        _ = encode(text).ids
    return 1e6 * (time.perf_counter() - started) / len(texts)


if __name__ == "__main__":
    main()
