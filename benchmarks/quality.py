"""How good and how dear Heed and its rivals are, on the same rows: `python -m benchmarks.quality`.

Each set is read once, as `heed train` reads it. Every rival learns from its train rows and is tuned
on its dev rows; all are scored on its test rows and timed on one core, in turns within one run. The
bundle must have learnt from the same train rows. A set is one of `SETS`, below `--data`, or `own`:
the files that `--train`, `--dev` and `--test` name. What cannot be run is left out, and said.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.contest import Comparison, Heed, compare
from benchmarks.quality_report import plot, table
from benchmarks.rivals import FastText, Method, Tfidf
from heed.model.commands.options import TrainingRows, TrainOptions, read_rows
from heed.model.errors import HeedError
from scripts.hold_out import set_aside

Files = tuple[str, str | None, str]

SETS: dict[str, Files] = {
    "sst2": ("train_phrases.csv.gz", "dev.csv.gz", "test.csv.gz"),
    "imdb": ("train.csv.gz", None, "test.csv.gz"),
    "agnews": ("train.csv.gz", "dev.csv.gz", "test.csv.gz"),
    "clinc150": ("train.csv.gz", "dev.csv.gz", "test.csv.gz"),
    "chnsenticorp": ("train.csv.gz", "dev.csv.gz", "test_clean.csv.gz"),
}
"""Train, dev and test file in a folder of that name; without a dev file see `ASIDE`."""
ASIDE = {"imdb": 1000}
"""Rows set aside of a set without a dev file: those that its bundle did not learn (Makefile)."""
BUNDLES = {
    "sst2": "bundles/sentiment",
    "imdb": "bundles/sentiment",
    "clinc150": "bundles/intents",
    "chnsenticorp": "bundles/sentiment-zh",
}
OWN = "own"


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare, and write `quality.json`, `quality.md` and `quality.svg`."""
    asked = _parser().parse_args(arguments)
    asked.out.mkdir(parents=True, exist_ok=True)
    found: list[Comparison] = []
    for name in asked.sets or ([OWN] if asked.train else SETS):
        try:
            rows = read_rows(_order(name, asked))
            found.append(compare(name, rows, _methods(name, rows, asked), asked.limit))
        except HeedError as error:
            print(f"{name}: left out: {error}", file=sys.stderr)
            continue
        _write(found, asked.out)
    if not found:
        sys.exit(2)
    print(table(found))


def _write(found: Sequence[Comparison], out: Path) -> None:
    """Everything measured so far, since a whole run takes long."""
    tree = [asdict(comparison) for comparison in found]
    (out / "quality.json").write_text(json.dumps(tree, indent=2, allow_nan=False) + "\n")
    (out / "quality.md").write_text(table(found) + "\n")
    (out / "quality.svg").write_text(plot(found))


def _order(name: str, asked: argparse.Namespace) -> TrainOptions:
    if name == OWN:
        return TrainOptions(tuple(asked.train), asked.out, dev=_one(asked.dev), test=asked.test)
    if name not in SETS:
        raise HeedError(f"no such set; there is {', '.join(SETS)}, and {OWN} with --train")
    train, dev, test = (asked.data / name / file if file else None for file in SETS[name])
    assert train is not None
    if name in ASIDE:
        dev = asked.out / f"{name}_dev.csv.gz"
        set_aside(train, ASIDE[name], dev)
    return TrainOptions((train,), asked.out, dev=_one(dev), test=test)


def _one(path: Path | None) -> tuple[Path, ...]:
    return (path,) if path else ()


def _methods(name: str, rows: TrainingRows, asked: argparse.Namespace) -> Iterator[Method | str]:
    """Each method, trained, or why it is left out."""
    labels = sorted(set(rows.train.labels))
    bundle = asked.bundle.get(name, BUNDLES.get(name))
    checkpoint = asked.encoder_checkpoint.get(name)

    def heed() -> Method:
        if bundle is None:
            raise HeedError(f"no bundle is named for it; --bundle {name}=DIR")
        return Heed(Path(bundle), labels)

    def fine_tuned() -> Method:
        if checkpoint is None:
            raise HeedError(f"no training of it is named; --encoder-checkpoint {name}=DIR")
        from benchmarks.fine_tuned import FineTuned

        return FineTuned(asked.encoder, Path(checkpoint), len(labels))

    entries: dict[str, Callable[[], Method]] = {
        Heed.name: heed,
        FastText.name: lambda: FastText(rows.train, rows.dev, labels),
        Tfidf.name: lambda: Tfidf(rows.train, rows.dev, labels),
        "fine-tuned encoder": fine_tuned,
    }
    for method, enter in entries.items():
        try:
            yield enter()
        except HeedError as error:
            yield f"{method}: {error}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.quality", description=__doc__)
    add: Any = parser.add_argument
    add("sets", nargs="*", help=f"of {', '.join(SETS)} and {OWN}; none: all, or own with --train")
    add("--data", type=Path, default=Path("../shared/data"), help="folder of the sets")
    add("--train", type=Path, nargs="+", default=[], help="files of the set `own`")
    add("--dev", type=Path, help="its dev rows; else some are set aside")
    add("--test", type=Path, help="its test rows")
    add("--bundle", **_PAIRS, help="bundle of a set, where it is not the one that ships")
    add("--encoder-checkpoint", **_PAIRS, help="`heed train --teacher --checkpoint` of a set")
    add("--encoder", default="encoders/all-MiniLM-L6-v2", help="the encoder fine-tuned there")
    add("--limit", type=int, help="most test rows, the first of each set; else all")
    add("--out", type=Path, default=Path("runs/quality"), help="folder to write to")
    return parser


class _Pairs(argparse.Action):
    """SET=DIR, as often as wanted."""

    def __call__(self, parser: Any, asked: Any, value: Any, option: str | None = None) -> None:
        name, equals, folder = value.partition("=")
        if not equals:
            parser.error(f"{option} wants SET=DIR, not {value}")
        setattr(asked, self.dest, getattr(asked, self.dest) | {name: folder})


_PAIRS: dict[str, Any] = {"action": _Pairs, "default": {}, "metavar": "SET=DIR"}

if __name__ == "__main__":
    main()
