"""Train, score and time every classifier on one set."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.quality import fasttext_bigrams, results, tfidf
from benchmarks.quality.classifier import Classifier, HeedBundle
from benchmarks.quality.measure import draw_timed_texts, score, time_in_turns
from benchmarks.quality.results import Result, Scores, SetResults, Times
from heed.model.data import TrainingRows
from heed.model.errors import DataError, HeedError


@dataclass(frozen=True)
class Sources:
    """Where the classifiers that are not trained here come from."""

    bundle: Path | None
    encoder: str
    encoder_checkpoint: Path | None


@dataclass(frozen=True)
class Entry:
    """A classifier that takes part."""

    name: str
    folder: str
    source: str
    """Decides the result together with the rows."""
    train: Callable[[Path], None]
    """Writes the model to a folder."""
    load: Callable[[Path], Classifier]


def compare(
    name: str, rows: TrainingRows, sources: Sources, out: Path, time_only: bool = False
) -> SetResults:
    """Return scores and times of every classifier that can be run on a set.

    Args:
        name: of the set.
        rows: with test rows.
        sources: of the bundle and the encoder.
        out: folder that keeps finished classifiers.
        time_only: train nothing, and time again what is finished.

    Raises:
        HeedError: there are no test rows, or no classifier can be run.
    """
    if rows.test is None:
        raise HeedError("there are no test rows")
    labels = sorted(set(rows.train.labels))
    parts = (rows.train, rows.dev, rows.test)
    classifiers: dict[str, Classifier] = {}
    scores: dict[str, Scores] = {}
    left_out: list[str] = []
    for entry in _entries(rows, sources, labels):
        folder = out / name / entry.folder
        folder.mkdir(parents=True, exist_ok=True)
        inputs = results.fingerprint(parts, entry.source)
        try:
            kept = results.read(folder / results.SCORES, inputs)
            if kept is None:
                if time_only:
                    raise HeedError("it is not finished; run without --time-only")
                print(f"{name}: {entry.name} is being prepared", file=sys.stderr)
                entry.train(folder)
            classifier = entry.load(folder)
            if kept is None:
                kept = asdict(score(classifier, rows.dev, rows.test, labels))
                results.write(folder / results.SCORES, inputs, kept)
        except HeedError as error:
            print(f"{name}: left out: {entry.name}: {error}", file=sys.stderr)
            left_out.append(f"{entry.name}: {error}")
            continue
        classifiers[entry.name], scores[entry.name] = classifier, Scores(**kept)
    if not classifiers:
        raise HeedError("no classifier can be run")
    texts = draw_timed_texts(rows.test)
    inputs = results.fingerprint(parts, *classifiers)
    times = None if time_only else results.read(out / name / results.TIMES, inputs)
    if times is None:
        timed = time_in_turns(classifiers, texts)
        times = {classifier: asdict(each) for classifier, each in timed.items()}
        results.write(out / name / results.TIMES, inputs, times)
    return SetResults(
        name,
        dict(zip(("train", "dev", "test"), (len(part.texts) for part in parts), strict=True)),
        sum(map(len, texts)) / len(texts),
        [Result(each, scores[each], Times(**times[each])) for each in classifiers],
        left_out,
    )


def _entries(rows: TrainingRows, sources: Sources, labels: Sequence[str]) -> list[Entry]:
    def check_bundle(_: Path) -> None:
        if sources.bundle is None:
            raise HeedError("no bundle is named for this set; add --bundle SET=DIR")
        if HeedBundle(sources.bundle).labels != labels:
            raise DataError(f"{sources.bundle}: its labels are not those of the train rows")

    def load_bundle(_: Path) -> Classifier:
        assert sources.bundle is not None
        return HeedBundle(sources.bundle)

    def export_encoder(folder: Path) -> None:
        if sources.encoder_checkpoint is None:
            raise HeedError("no checkpoint is named; add --encoder-checkpoint SET=DIR")
        from benchmarks.quality import fine_tuned_encoder  # loads PyTorch

        fine_tuned_encoder.export(folder, sources.encoder, sources.encoder_checkpoint, len(labels))

    def load_encoder(folder: Path) -> Classifier:
        from benchmarks.quality.fine_tuned_encoder import FineTunedEncoder

        return FineTunedEncoder(folder)

    bundle_config = sources.bundle / "config.json" if sources.bundle else None
    bundle_source = (
        bundle_config.read_text(encoding="utf-8")
        if bundle_config is not None and bundle_config.exists()
        else ""
    )
    return [
        Entry("Heed", "heed", bundle_source, check_bundle, load_bundle),
        Entry(
            "fastText, bigrams",
            "fasttext",
            "",
            lambda folder: fasttext_bigrams.train(folder, rows.train, rows.dev, labels),
            lambda folder: fasttext_bigrams.FastText(folder, labels),
        ),
        Entry(
            "TF-IDF, logistic regression",
            "tfidf",
            "",
            lambda folder: tfidf.train(folder, rows.train, rows.dev, labels),
            tfidf.Tfidf,
        ),
        Entry("fine-tuned encoder", "encoder", "", export_encoder, load_encoder),
    ]
