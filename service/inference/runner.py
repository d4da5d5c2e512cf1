"""From a batch of texts to an outcome for each: no queue, no event loop, no HTTP.

Whatever a text does to the tokenizer or the network, it does to itself: its neighbours in the
batch are answered.
"""

import logging
import time
from dataclasses import dataclass, field

from heed.model.errors import TextError
from heed.model.inference.classifier import Explain, OnnxClassifier, Prediction
from heed.model.text.tokenizer import Encoding, length_batches
from heed.service.errors import InferenceDown, InferenceFailed, InternalError
from heed.service.inference.batcher import Entry

log = logging.getLogger("heed")

WARM_TEXT = "A text to warm up with."
LEVELS: tuple[Explain, ...] = ("none", "attention", "contributions")


@dataclass(slots=True)
class Run:
    """One pass of the network."""

    texts: int
    tokens: int
    computed: int
    """Tokens with padding."""


@dataclass(slots=True)
class Report:
    """What became of a batch, beside the outcomes."""

    started: float = field(default_factory=time.perf_counter)
    tokenize: float = 0.0
    inference: float = 0.0
    runs: list[Run] = field(default_factory=list)
    works: bool | None = None
    """Whether the network classifies at all; None where it was not asked."""


def run_batch(batch: list[Entry]) -> Report:
    """Give every text of a batch, which is of one model, its outcome. Never raises."""
    report = Report()
    try:
        _process(batch, report)
    except BaseException:  # the thread must live on, and nobody may wait for ever
        log.exception("a batch failed for a reason that is a bug")
        for job, place in batch:
            if job.outcomes[place] is None:
                job.outcomes[place] = InternalError("something broke here; it was logged")
    return report


def _process(batch: list[Entry], report: Report) -> None:
    encodings = [_encode(entry) for entry in batch]
    read = [
        (entry, encoding)
        for entry, encoding in zip(batch, encodings, strict=True)
        if encoding is not None
    ]
    tokenized = time.perf_counter()
    report.tokenize = tokenized - report.started
    budget = batch[0][0].classifier.batch_tokens
    for group in length_batches([len(encoding.ids) for _, encoding in read], budget):
        _run([read[i][0] for i in group], [read[i][1] for i in group], report)
    report.inference = time.perf_counter() - tokenized


def _encode(entry: Entry) -> Encoding | None:
    job, place = entry
    try:
        return job.classifier.encode(job.texts[place])
    except TextError as error:
        job.outcomes[place] = error
    except BaseException as error:  # a panic of the tokenizer is not an Exception
        log.error("%s: the tokenizer failed: %r", job.classifier.config.name, error)
        job.outcomes[place] = InferenceFailed("this text cannot be tokenized")
    return None


def _run(entries: list[Entry], encodings: list[Encoding], report: Report) -> None:
    """Run a group together; when that fails, each text alone, once."""
    explain = max((job.explain for job, _ in entries), key=LEVELS.index)
    try:
        _predict(entries, encodings, explain, report)
    except BaseException as error:
        if len(entries) > 1:
            for entry, encoding in zip(entries, encodings, strict=True):
                _run_alone(entry, encoding, report)
        else:
            _fail(entries[0], error, report)


def _run_alone(entry: Entry, encoding: Encoding, report: Report) -> None:
    job, place = entry
    if report.works is False:
        job.outcomes[place] = _down()
        return
    try:
        _predict([entry], [encoding], job.explain, report)
    except BaseException as error:
        _fail(entry, error, report)


def _predict(
    entries: list[Entry], encodings: list[Encoding], explain: Explain, report: Report
) -> None:
    predictions: list[Prediction] = entries[0][0].classifier.run(encodings, explain)
    for (job, place), prediction in zip(entries, predictions, strict=True):
        job.outcomes[place] = prediction
    lengths = [len(encoding.ids) for encoding in encodings]
    report.runs.append(Run(len(lengths), sum(lengths), len(lengths) * max(lengths)))
    report.works = True


def _fail(entry: Entry, error: BaseException, report: Report) -> None:
    """Tell whether this text alone cannot be classified, or nothing can."""
    job, place = entry
    log.warning("%s: inference failed for a text: %s", job.classifier.config.name, error)
    report.works = _answers(job.classifier)
    job.outcomes[place] = (
        InferenceFailed("the network gave no usable answer for this text")
        if report.works
        else _down()
    )


def _answers(classifier: OnnxClassifier) -> bool:
    try:
        classifier.run([classifier.encode(WARM_TEXT)], "none")
    except BaseException as error:
        log.error("%s: inference is down: %s", classifier.config.name, error)
        return False
    return True


def _down() -> InferenceDown:
    return InferenceDown("nothing can be classified at present; it is tried again on each request")
