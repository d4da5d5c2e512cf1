"""Compare Heed with other text classifiers: `python -m benchmarks.quality`, `make bench-quality`.

Each set is read as `heed train` reads it. Every classifier learns from its train rows and is tuned
on its dev rows. All are scored on its test rows and timed on one core, in turns. A bundle must have
learnt from the same train rows. A set is one of `SETS` below `--data`, or `own`: the files that
`--train`, `--dev` and `--test` name. The program names each classifier that it cannot run, and why.

A finished classifier stays in `--out`; the next run with the same rows uses it again. `--time-only`
times the finished classifiers once more; run it on an idle machine.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.quality.comparison import Sources, compare
from benchmarks.quality.report import plot, table
from benchmarks.quality.results import SetResults, as_json
from benchmarks.quality.sets import OWN, SETS, read_files, read_set
from heed.model.data import TrainingRows
from heed.model.errors import HeedError


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare, and write `quality.json`, `quality.md` and `quality.svg`."""
    options = _parser().parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    results: list[SetResults] = []
    for name in options.sets or ([OWN] if options.train else SETS):
        try:
            results.append(
                compare(
                    name,
                    _rows(name, options),
                    _sources(name, options),
                    options.out,
                    options.time_only,
                )
            )
        except HeedError as error:
            print(f"{name}: left out: {error}", file=sys.stderr)
            continue
        (options.out / "quality.json").write_text(as_json(results), encoding="utf-8")
        (options.out / "quality.md").write_text(table(results) + "\n", encoding="utf-8")
        (options.out / "quality.svg").write_text(plot(results), encoding="utf-8")
    if not results:
        sys.exit(2)
    print(table(results))


def _rows(name: str, options: argparse.Namespace) -> TrainingRows:
    if name != OWN:
        return read_set(name, options.data, options.out)
    if options.test is None:
        raise HeedError("there are no test rows; name some with --test")
    return read_files(tuple(options.train), options.dev, options.test)


def _sources(name: str, options: argparse.Namespace) -> Sources:
    bundle = options.bundle.get(name, SETS[name].bundle if name in SETS else None)
    checkpoint = options.encoder_checkpoint.get(name)
    return Sources(
        bundle=Path(bundle) if bundle else None,
        encoder=options.encoder,
        encoder_checkpoint=Path(checkpoint) if checkpoint else None,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.quality",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add: Any = parser.add_argument
    pairs: dict[str, Any] = {"action": _SetPaths, "default": {}, "metavar": "SET=DIR"}
    add("sets", nargs="*", help=f"{', '.join(SETS)} or {OWN}; default: all, or own with --train")
    add("--data", type=Path, default=Path("../shared/data"), help="folder of the sets")
    add("--train", type=Path, nargs="+", default=[], help="train files of the set `own`")
    add("--dev", type=Path, help="its dev file; default: some of the train rows")
    add("--test", type=Path, help="its test file")
    add("--bundle", **pairs, help="bundle of a set; default: the shipped one")
    add("--encoder-checkpoint", **pairs, help="checkpoint of `heed train --teacher` for a set")
    add("--encoder", default="encoders/all-MiniLM-L6-v2", help="the encoder fine-tuned there")
    add("--time-only", action="store_true", help="train nothing; time what is finished again")
    add("--out", type=Path, default=Path("runs/quality"), help="folder to write to")
    return parser


class _SetPaths(argparse.Action):
    """Collects SET=DIR, which may be given several times."""

    def __call__(self, parser: Any, options: Any, value: Any, option: str | None = None) -> None:
        name, equals, folder = value.partition("=")
        if not equals:
            parser.error(f"{option} needs SET=DIR, not {value}")
        setattr(options, self.dest, getattr(options, self.dest) | {name: folder})


if __name__ == "__main__":
    main()
