"""Errors with one cause outside Heed's code. Each message is one sentence that names the remedy.

HeedError
├── DataError        a data file, or a row of it, cannot be used
├── BundleError      a bundle is damaged, incomplete or of another format
├── DeviceError      the requested device is not available
├── TextError        a text cannot be classified: it has no token, or too many
└── InferenceError   the network failed or gave a number that is not finite
"""

import shlex
import sys
from pathlib import Path


class HeedError(Exception):
    """Base class. The message is one line for the user: what is wrong, where, how to correct it."""


class DataError(HeedError):
    """A data file, or a row of it, cannot be used."""


class BundleError(HeedError):
    """A bundle is damaged, incomplete or of another format."""


class DeviceError(HeedError):
    """The requested device is not available."""


class TextError(HeedError, ValueError):
    """A text cannot be classified: it is not a string, it has no token, or it is too long.

    Attributes:
        reason: the sentence, without the position of the text.
        index: position of the text in the list, from 0; 0 for a single text.
    """

    def __init__(self, reason: str, index: int | None = None) -> None:
        super().__init__(reason if index is None else f"texts[{index}]: {reason}")
        self.reason = reason
        self.index = index or 0


class InferenceError(HeedError):
    """The network failed or gave a number that is not finite."""


def to_install(extras: str) -> str:
    """Return the pip command that installs `extras` for the running Python, in backquotes.

    Args:
        extras: names of extras, separated by commas.

    Returns:
        A command that works from any folder. It installs the checkout if Heed runs from one, and
        the distribution otherwise.
    """
    root = Path(__file__).resolve().parents[1]
    pip = f"{shlex.quote(sys.executable)} -m pip install"
    if (root / "pyproject.toml").is_file():
        constraints = shlex.quote(str(root / "constraints.txt"))
        return f"`{pip} -c {constraints} -e '{root}[{extras}]'`"
    return f"`{pip} 'heed-classifier[{extras}]'`"
