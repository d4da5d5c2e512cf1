"""Compare eight network sizes: `python -m benchmarks.quality.network_sizes [SET...]`.

Each configuration is trained in the same way on each set, without an encoder, and scored on dev.
The configurations of a set are timed in turns. The defaults of `heed train` come from this
comparison. A bundle that is already in the folder is used again.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.quality.classifier import Classifier, HeedBundle
from benchmarks.quality.measure import draw_timed_texts, score, time_in_turns
from benchmarks.quality.report import plot, table
from benchmarks.quality.results import Result, SetResults, as_json
from benchmarks.quality.sets import SETS
from heed.model.commands.options import TrainOptions
from heed.model.commands.train import train_bundle
from heed.model.data import DataFiles, read_labelled


@dataclass(frozen=True)
class Configuration:
    """Sizes of a network; the other sizes follow from the data."""

    width: int
    blocks: int
    vocabulary: int | None = None
    """Maximum number of tokens of the tokenizer; None: it follows from the data."""

    @property
    def name(self) -> str:
        """Such as `d128 N1 V16k`."""
        tokens = f" V{self.vocabulary // 1000}k" if self.vocabulary else ""
        return f"d{self.width} N{self.blocks}{tokens}"


CONFIGURATIONS = (
    Configuration(64, 0),
    Configuration(128, 0),
    Configuration(64, 1),
    Configuration(128, 1),
    Configuration(128, 1, 4_000),
    Configuration(128, 1, 16_000),
    Configuration(128, 2),
    Configuration(256, 1),
)
EPOCHS = {"sst2": 2, "agnews": 3, "clinc150": 8}
"""Fewer than the default, to save time; the epoch with the best dev accuracy is kept."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is missing, then write `sizes.json`, `sizes.md` and `sizes.svg`."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality.network_sizes", description=__doc__
    )
    parser.add_argument("sets", nargs="*", default=list(EPOCHS), help=", ".join(EPOCHS))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of sets")
    parser.add_argument("--out", type=Path, default=Path("runs/network-sizes"))
    options = parser.parse_args(arguments)
    results = []
    for name in options.sets:
        files, folder = SETS[name], options.data / name
        assert files.dev is not None
        train, dev = folder / files.train, folder / files.dev
        bundles = train_all(train, dev, CONFIGURATIONS, EPOCHS[name], options.out / name)
        results.append(measure(name, dev, bundles))
    (options.out / "sizes.json").write_text(as_json(results), encoding="utf-8")
    (options.out / "sizes.md").write_text(table(results) + "\n", encoding="utf-8")
    (options.out / "sizes.svg").write_text(plot(results), encoding="utf-8")
    print(table(results))


def train_all(
    train: Path, dev: Path, configurations: Sequence[Configuration], epochs: int, out: Path
) -> dict[str, Path]:
    """Return the bundle of each configuration, by its name; train those that are missing."""
    bundles = {}
    for configuration in configurations:
        bundle = out / configuration.name.replace(" ", "-")
        bundles[configuration.name] = bundle
        if bundle.exists():
            continue
        print(f"{bundle} is being trained", file=sys.stderr)
        chosen = {
            "width": configuration.width,
            "blocks": configuration.blocks,
            "hidden": 2 * configuration.width,
            "epochs": epochs,
        }
        if configuration.vocabulary:
            chosen["vocabulary"] = configuration.vocabulary
        files = DataFiles(train=(train,), dev=(dev,))
        options = TrainOptions(files=files, out=bundle, overrides=chosen)
        train_bundle(options, lambda _: None)
    return bundles


def measure(name: str, dev: Path, bundles: Mapping[str, Path]) -> SetResults:
    """Score the bundles of a set on its dev rows and time them in turns."""
    rows = read_labelled(dev)
    heed = {each: HeedBundle(path) for each, path in bundles.items()}
    classifiers: dict[str, Classifier] = {**heed}
    texts = draw_timed_texts(rows)
    times = time_in_turns(classifiers, texts)
    return SetResults(
        name=f"{name} dev",
        rows={"dev": len(rows.texts)},
        mean_characters=sum(map(len, texts)) / len(texts),
        results=[
            Result(each, score(bundle, rows, rows, bundle.labels), times[each])
            for each, bundle in heed.items()
        ],
        left_out=[],
    )


if __name__ == "__main__":
    main()
