"""The engine without HTTP, beside PyTorch: `python -m benchmarks.engine [BUNDLE] --device cuda`.

With `--checkpoint` (the folder of the bundle's training) the same network runs in PyTorch, eager
and compiled, on the same device. Each is given tokenized texts and gives logits, attention and
contributions back in memory. JSON of texts a second goes to stdout.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import describe, give_up
from benchmarks.texts import SENTENCES, texts_of
from heed.model.errors import HeedError
from heed.model.evaluation.gradients import load_network
from heed.model.inference.bundle import Bundle
from heed.model.inference.classifier import OnnxClassifier
from heed.model.text.tokenizer import Encoding, pad

SIZES = (1, 64, 512)
Run = Callable[[list[Encoding]], Any]


def main() -> None:
    """Measure and print."""
    options = read_options()
    try:
        bundle = Bundle.load(options.bundle)
        classifier = OnnxClassifier(bundle, options.device)
        runs: dict[str, Run] = {"onnxruntime": lambda texts: classifier.run(texts, "contributions")}
        if options.checkpoint is not None:
            runs |= in_torch(bundle, options.checkpoint, options.device)
    except HeedError as error:
        give_up(str(error))
    texts = texts_of(bundle, SENTENCES, max(SIZES))
    read = [classifier.encode(text) for text in texts]
    found = {}
    for size in SIZES:
        seconds = _time(runs, read[:size], options.rounds)
        found[size] = {name: round(size / median, 1) for name, median in seconds.items()}
    card = torch.cuda.get_device_name() if options.device == "cuda" else None
    told = {"machine": describe() | {"provider": classifier.provider, "card": card}}
    json.dump(told | {"texts_a_second": found}, sys.stdout, indent=1)
    print()


def read_options() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=__doc__)
    parser.add_argument("bundle", type=Path, nargs="?", default=Path("bundles/sentiment"))
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--checkpoint", type=Path, help="folder that the training saved to")
    parser.add_argument("--rounds", type=int, default=20)
    return parser.parse_args()


def in_torch(bundle: Bundle, checkpoint: Path, device: str) -> dict[str, Run]:
    """The network in PyTorch, eager and compiled, on one thread where it is the processor."""
    if device == "cuda" and not torch.cuda.is_available():
        give_up("--device cuda: this PyTorch has no CUDA; leave --checkpoint out, or install it")
    torch.set_num_threads(1)
    network = load_network(checkpoint, bundle).to(device).eval()
    compiled = torch.compile(network, dynamic=True)

    def run_of(module: Any) -> Run:
        @torch.inference_mode()
        def run(read: list[Encoding]) -> Any:
            ids = torch.from_numpy(pad([encoding.ids for encoding in read]))
            output = module(ids.to(device))
            return [x.cpu() for x in (output.logits, output.attention, output.contributions)]

        return run

    return {"PyTorch eager": run_of(network), "PyTorch compiled": run_of(compiled)}


def _time(runs: dict[str, Run], read: list[Encoding], rounds: int) -> dict[str, float]:
    """Median seconds of each run, one after the other."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds + 2):
        for name, run in runs.items():
            started = time.perf_counter()
            run(read)
            if turn >= 2:  # the first ones compile and warm up
                seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(times) for name, times in seconds.items()}


if __name__ == "__main__":
    main()
