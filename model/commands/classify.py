"""What `heed classify` reads and writes."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from heed.model.errors import DataError, TextError
from heed.model.report.render import to_html


def read_lines(stream: Iterable[bytes]) -> list[str]:
    """Return the lines of a UTF-8 stream as texts.

    Raises:
        TextError: a line is not UTF-8, or there is no line.
    """
    texts = []
    for row, line in enumerate(stream, start=1):
        try:
            texts.append(line.decode("utf-8-sig" if row == 1 else "utf-8").rstrip("\r\n"))
        except UnicodeDecodeError as error:
            raise TextError(f"line {row}: not UTF-8; convert the input to UTF-8") from error
    if not texts:
        raise TextError("standard input has no line; write one text on each line")
    return texts


def save_page(texts: Sequence[str], answers: Sequence[dict[str, Any]], file: Path) -> None:
    """Write the answers as one self-contained HTML page.

    Raises:
        DataError: the file cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(to_html(texts, answers), encoding="utf-8")
    except OSError as error:
        raise DataError(f"{file}: cannot be written: {error.strerror}") from error
