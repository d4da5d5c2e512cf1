"""`heed classify`: texts in, answers out, as the API would give them. Needs no PyTorch."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from msgspec import to_builtins

from heed.model.errors import DataError, TextError
from heed.model.inference.bundle import Bundle
from heed.model.inference.classifier import Explain, OnnxClassifier
from heed.model.inference.response import Unit, build_answer
from heed.model.inference.session import Device
from heed.model.report.render import to_html


def classify(
    bundle: Path,
    texts: Sequence[str],
    *,
    explain: Explain = "attention",
    explain_label: str | None = None,
    unit: Unit = "token",
    top_k: int | None = None,
    min_confidence: float | None = None,
    device: Device = "cpu",
) -> list[dict[str, Any]]:
    """Answer each text; see `build_answer` for the options.

    Raises:
        TextError: a text has nothing to read in it, or `explain_label` is no label.
        BundleError, DeviceError, InferenceError: see `OnnxClassifier`.
    """
    classifier = OnnxClassifier(Bundle.load(bundle), device)
    config = classifier.config
    if explain_label is not None and explain_label not in config.labels:
        named = ", ".join(config.labels[:10]) + (", …" if len(config.labels) > 10 else "")
        raise TextError(
            f"--explain-label {explain_label}: {config.name} has no such label; it has {named}"
        )
    for place, text in enumerate(texts, start=1):
        if any("\ud800" <= character <= "\udfff" for character in text):
            raise TextError(f"text {place}: is not valid UTF-8; write it in UTF-8")
        try:
            classifier.encode(text)
        except TextError as error:
            raise TextError(f"text {place}: {error}") from error
    answers = [
        {"model": config.name, "version": config.version}
        | build_answer(
            prediction,
            config,
            text=text,
            explain=explain,
            explain_label=explain_label,
            unit=unit,
            top_k=top_k,
            min_confidence=min_confidence,
        )
        for text, prediction in zip(texts, classifier.predict(texts, explain), strict=True)
    ]
    return [to_builtins(build_answer) for build_answer in answers]


def read_lines(stream: Iterable[bytes]) -> list[str]:
    """Texts, one a line; raises `TextError` where a line is not UTF-8, or there is none."""
    texts = []
    for number, line in enumerate(stream, start=1):
        try:
            texts.append(line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n"))
        except UnicodeDecodeError as error:
            raise TextError(f"line {number}: not UTF-8; write it in UTF-8") from error
    if not texts:
        raise TextError("there is no line to read; write a text a line")
    return texts


def save(texts: Sequence[str], answers: Sequence[dict[str, Any]], file: Path) -> None:
    """Write the answers as one self-contained HTML page, for reports.

    Raises:
        DataError: the file cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(to_html(texts, answers), encoding="utf-8")
    except OSError as error:
        raise DataError(f"{file}: cannot be written: {error.strerror}") from error
