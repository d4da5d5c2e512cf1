"""The log of supervisor and workers."""

import logging


def start_logging(level: str) -> None:
    """Write messages of `level` and above to stderr."""
    logging.basicConfig(
        level=level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    if level != "debug":
        # uvicorn warns of malformed requests, which are no event, and repeats our own messages.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
