"""From a batch of texts to an outcome for each. Synchronous, without queue and HTTP.

A text that makes the tokenizer or the network fail gets an error as its outcome. The other texts
of the batch still get their predictions.
"""

import logging
import time
from dataclasses import dataclass, field

from heed.model.errors import TextError
from heed.model.inference import Explain, OnnxClassifier
from heed.model.text import Encoding, length_batches
from heed.service.errors import InferenceDown, InferenceFailed, InternalError
from heed.service.inference.batcher import Entry

log = logging.getLogger("heed")

PROBE_TEXT = "A text to warm up with."
EXPLAIN_LEVELS: tuple[Explain, ...] = ("none", "attention", "contributions")
"""Each level includes the outputs of those before it."""


@dataclass(slots=True)
class BatchReport:
    """Times and runs of a batch."""

    started: float = field(default_factory=time.perf_counter)
    tokenize_seconds: float = 0.0
    inference_seconds: float = 0.0
    runs: list[tuple[int, int, int]] = field(default_factory=list)
    """Texts, tokens, and tokens with padding of each run of the network."""
    works: bool | None = None
    """Whether the network can classify any text; None if it did not run."""


def run_batch(batch: list[Entry]) -> BatchReport:
    """Set the outcome of every text of a batch, whose texts share one model. Never raises."""
    report = BatchReport()
    try:
        _run_batch(batch, report)
    except BaseException:  # the thread must go on, and every text needs an outcome
        log.exception("a batch failed because of a bug")
        for job, index in batch:
            if job.outcomes[index] is None:
                job.outcomes[index] = InternalError()
    return report


def _run_batch(batch: list[Entry], report: BatchReport) -> None:
    encoded = [(entry, encoding) for entry in batch if (encoding := _encode(entry)) is not None]
    tokenized = time.perf_counter()
    report.tokenize_seconds = tokenized - report.started
    budget = batch[0][0].classifier.batch_tokens
    for group in length_batches([len(encoding.ids) for _, encoding in encoded], budget):
        _run_group([encoded[i] for i in group], report)
    report.inference_seconds = time.perf_counter() - tokenized


def _encode(entry: Entry) -> Encoding | None:
    job, index = entry
    try:
        return job.classifier.encode(job.texts[index])
    except TextError as error:
        job.outcomes[index] = error
    except BaseException as error:  # a panic of the tokenizer is not an Exception
        # The message of a panic may hold the text.
        log.error("%s: the tokenizer failed: %s", job.classifier.config.name, type(error).__name__)
        job.outcomes[index] = InferenceFailed("the tokenizer failed on this text")
    return None


def _run_group(encoded: list[tuple[Entry, Encoding]], report: BatchReport) -> None:
    """Run a group of texts together; if that fails, run each text alone, once."""
    (first, index), _ = encoded[0]
    if len(encoded) == 1 and report.works is False:
        first.outcomes[index] = _inference_down()
        return
    explain = max((job.explain for (job, _), _ in encoded), key=EXPLAIN_LEVELS.index)
    encodings = [encoding for _, encoding in encoded]
    try:
        predictions = first.classifier.run(encodings, explain)
    except BaseException as error:
        if len(encoded) > 1:
            for one in encoded:
                _run_group([one], report)
            return
        name = first.classifier.config.name
        log.warning("%s: inference failed for a text: %s", name, error)
        report.works = _classifies(first.classifier)
        first.outcomes[index] = (
            InferenceFailed("the network gave no usable output for this text")
            if report.works
            else _inference_down()
        )
        return
    for ((job, index), _), prediction in zip(encoded, predictions, strict=True):
        job.outcomes[index] = prediction
    lengths = [len(encoding.ids) for encoding in encodings]
    report.runs.append((len(lengths), sum(lengths), len(lengths) * max(lengths)))
    report.works = True


def _classifies(classifier: OnnxClassifier) -> bool:
    """True if the network classifies a plain text."""
    try:
        classifier.run([classifier.encode(PROBE_TEXT)], "none")
    except BaseException as error:
        log.error("%s: inference is down: %s", classifier.config.name, error)
        return False
    return True


def _inference_down() -> InferenceDown:
    return InferenceDown("the network fails on every text; each new request tries it again")
