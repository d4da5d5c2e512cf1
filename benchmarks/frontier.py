"""What width, blocks and vocabulary buy, and what they cost: `python -m benchmarks.frontier`.

Each configuration is trained alike on each set, without an encoder, and scored on dev; all of a
set are timed in turns within one run. The rule in `model/plan.py` is drawn from it. A bundle that
stands in the folder already is not trained again.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.contest import Comparison, Heed, compare
from benchmarks.quality import SETS
from benchmarks.quality_report import plot, table
from heed.model.commands.options import TrainingRows, TrainOptions
from heed.model.commands.train import train_bundle
from heed.model.data.labelled import read_labelled


@dataclass(frozen=True)
class Configuration:
    """Sizes of a network; the rest follows from the data."""

    width: int
    blocks: int
    vocabulary: int | None = None
    """Most tokens of the tokenizer; None: what follows from the data, too."""

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
"""Fewer than the plan's, for all alike; the best on dev is kept."""


class Sized(Heed):
    """A bundle under the name of its configuration."""

    def __init__(self, path: Path, labels: Sequence[str], name: str) -> None:
        """As `Heed`."""
        super().__init__(path, labels)
        self.name = name


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is missing, then write `frontier.json`, `frontier.md` and `frontier.svg`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.frontier", description=__doc__)
    parser.add_argument("sets", nargs="*", default=list(EPOCHS), help="of " + ", ".join(EPOCHS))
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data"), help="folder of the sets"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/frontier"))
    asked = parser.parse_args(arguments)
    found = [_draw(name, asked.data / name, asked.out) for name in asked.sets]
    (asked.out / "frontier.json").write_text(json.dumps([asdict(each) for each in found], indent=2))
    (asked.out / "frontier.md").write_text(table(found) + "\n")
    (asked.out / "frontier.svg").write_text(plot(found))
    print(table(found))


def _draw(name: str, folder: Path, out: Path) -> Comparison:
    train, dev, _ = SETS[name]
    assert dev is not None
    for configuration in CONFIGURATIONS:
        bundle = out / name / configuration.name.replace(" ", "-")
        if not bundle.exists():
            print(f"{name}: training {configuration.name}", file=sys.stderr)
            sizes = {key: value for key, value in asdict(configuration).items() if value}
            sizes |= {
                "blocks": configuration.blocks,
                "epochs": EPOCHS[name],
                "hidden": 2 * configuration.width,
            }
            order = TrainOptions((folder / train,), bundle, (folder / dev,), chosen=sizes)
            train_bundle(order, lambda _: None)
    rows = read_labelled(folder / train)
    held_out = read_labelled(folder / dev)
    labels = sorted(set(rows.labels))
    return compare(
        f"{name} dev",
        TrainingRows(rows, held_out, held_out, None, None, []),
        (
            Sized(out / name / each.name.replace(" ", "-"), labels, each.name)
            for each in CONFIGURATIONS
        ),
    )


if __name__ == "__main__":
    main()
