"""Errors with one cause outside Heed's code. Each message is one sentence that names the remedy.

HeedError
├── DataError        a data file, or a row of it, cannot be used
├── BundleError      a bundle is damaged, incomplete or of another format
├── DeviceError      the requested device is not available
├── TextError        a text cannot be classified: it has no token, or too many
└── InferenceError   the network failed or gave a number that is not finite
"""

import sys


class HeedError(Exception):
    """Base class. The message is one line for the user: what is wrong, where, how to mend it."""


class DataError(HeedError):
    """A data file, or a row of it, cannot be used."""


class BundleError(HeedError):
    """A bundle is damaged, incomplete or of another format."""


class DeviceError(HeedError):
    """The requested device is not available."""


class TextError(HeedError):
    """A text cannot be classified: it has no token, or too many."""


class InferenceError(HeedError):
    """The network failed or gave a number that is not finite."""


def to_install(extras: str) -> str:
    """The command that brings what is missing, for the Python that runs."""
    return f"`{sys.executable} -m pip install -c constraints.txt -e '.[{extras}]'` in Heed's folder"
