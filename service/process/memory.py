"""Memory that the C library keeps after it was freed."""

import ctypes
import gc
from contextlib import suppress


def release_memory() -> None:
    """Return free memory to the system, where the C library can (glibc)."""
    gc.collect()
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
