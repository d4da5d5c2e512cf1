"""How long a text takes to be tokenized: `python -m benchmarks.reading BUNDLE FILE [ROUNDS]`.

By the library, by a reader that has seen nothing yet and reads each text of the file once, and by
the same one when it reads them once more; microseconds a text, medians of the rounds, as JSON.
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

from heed.model.data.labelled import read_texts
from heed.model.inference.bundle import TOKENIZER, Bundle
from heed.model.text.tokenizer import Tokenizer

MOST = 8_000
"""Texts that are read."""


def main() -> None:
    """Measure in turns and print."""
    path, file = map(Path, sys.argv[1:3])
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    texts = read_texts(file).texts[:MOST]
    limit = Bundle.load(path).config.max_tokens
    document = (path / TOKENIZER).read_text("utf-8")
    library = tokenizers.Tokenizer.from_str(document)
    found: dict[str, list[float]] = {"library": [], "first": [], "again": []}
    for _ in range(rounds):
        found["library"].append(_time(library.encode, texts))
        ours = partial(Tokenizer.from_json(document).encode, max_tokens=limit)
        for name in ("first", "again"):
            found[name].append(_time(ours, texts))
    lengths = [len(library.encode(text).ids) for text in texts]
    told = {name: round(statistics.median(times), 1) for name, times in found.items()}
    print(json.dumps({"texts": len(texts), "tokens": round(statistics.mean(lengths))} | told))


def _time(encode: Callable[[str], Any], texts: list[str]) -> float:
    """Microseconds a text, its ids taken out."""
    started = time.perf_counter()
    for text in texts:
        _ = encode(text).ids
    return 1e6 * (time.perf_counter() - started) / len(texts)


if __name__ == "__main__":
    main()
