"""What the log holds, in supervisor and workers alike."""

import logging


def start_logging(level: str) -> None:
    """Write to stderr what is at least as grave as `level`."""
    logging.basicConfig(
        level=level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    if level != "debug":
        # What a stranger sends is no event, and the start is told by us.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
