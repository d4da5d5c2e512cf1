"""The log of supervisor and workers: text, or one JSON object a line."""

import json
import logging
import traceback
from datetime import UTC, datetime
from typing import Any


class JsonFormatter(logging.Formatter):
    """One JSON object a line. A request has all fields, another event the first three."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; a traceback becomes part of `message`."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        message = record.getMessage()
        if record.exc_info:
            message += "\n" + _traceback_without_messages(record.exc_info[1])
        line: dict[str, Any] = {
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "message": message,
        }
        return json.dumps(line | getattr(record, "request", {}))


def _traceback_without_messages(error: BaseException | None) -> str:
    """Return the frames and types of an exception and its causes: a message may hold a text."""
    parts = []
    while error is not None:
        parts += [*traceback.format_tb(error.__traceback__), f"{type(error).__qualname__}\n"]
        error = error.__cause__ or error.__context__
    return "".join(parts).rstrip()


def start_logging(level: str, log_format: str) -> None:
    """Write messages of `level` and above to stderr, in the format `text` or `json`."""
    handler = logging.StreamHandler()
    handler.setFormatter(
        JsonFormatter()
        if log_format == "json"
        else logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s")
    )
    logging.basicConfig(level=level.upper(), handlers=[handler])
    logging.captureWarnings(True)  # otherwise they are lines of another format
    if level != "debug":
        # uvicorn warns of malformed requests, which are no event, and repeats our own messages.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
