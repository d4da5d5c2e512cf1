"""What can go wrong through no fault of ours, each told in one sentence that names the mend.

HeedError
├── DataError        a data file, or a row of it, cannot be used
├── BundleError      a bundle is damaged, incomplete or of another format
├── DeviceError      the wanted device cannot be had
├── TextError        a text cannot be classified: nothing in it to read, or too long
└── InferenceError   the network gave no usable answer
"""

import sys


class HeedError(Exception):
    """The root: its message is one plain sentence for the person who asked."""


class DataError(HeedError):
    """A data file, or a row of it, cannot be used."""


class BundleError(HeedError):
    """A bundle is damaged, incomplete or of another format."""


class DeviceError(HeedError):
    """The wanted device cannot be had."""


class TextError(HeedError):
    """A text cannot be classified: nothing in it to read, or too long."""


class InferenceError(HeedError):
    """The network gave no usable answer."""


def to_install(extras: str) -> str:
    """The command that brings what is missing, for the Python that runs."""
    return f"`{sys.executable} -m pip install -c constraints.txt -e '.[{extras}]'` in Heed's folder"
