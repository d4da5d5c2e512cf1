"""What fp16 changes: `python -m benchmarks.quality.fp16 BUNDLE FILE [BUNDLE FILE ...]`.

The network of each bundle answers the rows of a file in float32 and in fp16 on the CPU, which
converts fp16 numbers to float32 to compute.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnxruntime as ort

from heed.model.data import read_labelled
from heed.model.errors import HeedError
from heed.model.inference import CPU, CPU_BATCH_TOKENS, INPUT, Bundle, convert_to_fp16
from heed.model.text import length_batches, pad


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one row of a table for each bundle and file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality.fp16", description=__doc__)
    parser.add_argument("pairs", type=Path, nargs="+", metavar="BUNDLE FILE")
    pairs = parser.parse_args(arguments).pairs
    if len(pairs) % 2:
        parser.error("name a file after each bundle")
    try:
        for path, file in zip(pairs[::2], pairs[1::2], strict=True):
            print(compare(Bundle.load(path), file))
    except HeedError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


def compare(bundle: Bundle, file: Path) -> str:
    """Return a row of the table.

    Its columns: name, texts, labels that differ, largest difference of a logit, largest difference
    between a logit in fp16 and its bias plus the sum of its contributions.
    """
    texts = read_labelled(file).texts
    ids = [bundle.tokenizer.encode(text, bundle.config.max_tokens).ids for text in texts]
    float32, fp16 = (
        ort.InferenceSession(model, providers=[CPU])
        for model in (bundle.model, convert_to_fp16(bundle.model))
    )
    labels, logit_error, sum_error = 0, 0.0, 0.0
    for group in length_batches(list(map(len, ids)), CPU_BATCH_TOKENS):
        batch = {INPUT: pad([ids[number] for number in group])}
        [expected] = float32.run(["logits"], batch)
        logits, contributions = fp16.run(["logits", "contributions"], batch)
        labels += int((expected.argmax(axis=1) != logits.argmax(axis=1)).sum())
        logit_error = max(logit_error, float(np.abs(expected - logits).max()))
        sums = bundle.config.bias + contributions.sum(axis=1)
        sum_error = max(sum_error, float(np.abs(logits - sums).max()))
    name = file.parent.name or file.name
    return f"| {name} | {len(texts):,} | {labels} | {logit_error:.4f} | {sum_error:.0e} |"


if __name__ == "__main__":
    main()
