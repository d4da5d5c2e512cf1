"""What half precision changes: `python -m benchmarks.half BUNDLE FILE [BUNDLE FILE …]`.

The network of each bundle answers the rows of a file in 32 and in 16 bits, on the CPU, whose
provider computes the latter with conversions.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort

from heed.model.data.labelled import read_labelled
from heed.model.errors import HeedError
from heed.model.inference.bundle import Bundle
from heed.model.inference.fp16 import convert_to_fp16
from heed.model.inference.session import CPU, CPU_BATCH_TOKENS, INPUT
from heed.model.text.tokenizer import length_batches, pad


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row of a table for each bundle and file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.half", description=__doc__)
    parser.add_argument("pairs", type=Path, nargs="+", metavar="BUNDLE FILE")
    pairs = parser.parse_args(arguments).pairs
    if len(pairs) % 2:
        parser.error("name a file behind each bundle")
    try:
        for path, file in zip(pairs[::2], pairs[1::2], strict=True):
            print(compare(Bundle.load(path), file))
    except HeedError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


def compare(bundle: Bundle, file: Path) -> str:
    """A row of the table: texts, answers that differ, and how far apart the numbers are."""
    texts = read_labelled(file).texts
    ids = [bundle.tokenizer.encode(text, bundle.config.max_tokens).ids for text in texts]
    whole, half = (
        ort.InferenceSession(model, providers=[CPU])
        for model in (bundle.model, convert_to_fp16(bundle.model))
    )
    differ, apart, off = 0, 0.0, 0.0
    for group in length_batches(list(map(len, ids)), CPU_BATCH_TOKENS):
        batch = {INPUT: pad([ids[place] for place in group])}
        [logits] = whole.run(["logits"], batch)
        other, contributions = half.run(["logits", "contributions"], batch)
        differ += int((logits.argmax(axis=1) != other.argmax(axis=1)).sum())
        apart = max(apart, float(np.abs(logits - other).max()))
        summed = bundle.config.bias + contributions.sum(axis=1)
        off = max(off, float(np.abs(other - summed).max()))
    name = file.parent.name or file.name
    return f"| {name} | {len(texts):,} | {differ} | {apart:.4f} | {off:.0e} |"


if __name__ == "__main__":
    main()
