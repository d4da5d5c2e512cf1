"""Numbers of each worker and each client, in memory that the supervisor and all workers share."""

import mmap
import os
import tempfile
from typing import Self

from heed.service.rate_limit import SECRET_BYTES, TABLE_BYTES

NOT_ACCEPTING = -1
"""Instead of a number of connections."""
CELL_BYTES = 8


class SharedTable:
    """One cell for each worker in each column. A process writes whole cells, so needs no lock.

    The table of the rate limit comes first. Its pages take no memory before they are written.
    """

    def __init__(self, file: int) -> None:
        """Args:
        file: descriptor of the file that `create` made.
        """
        self.file = file
        memory = memoryview(mmap.mmap(file, 0))
        self.rates = memory[:TABLE_BYTES]
        """The table of `RateLimiter`."""
        cells = memory[TABLE_BYTES:].cast("q")
        workers = len(cells) // 2
        self.connections = cells[:workers]
        """Open connections, or `NOT_ACCEPTING`."""
        self.warm = cells[workers:]
        """1 once a worker of that slot was warm."""

    @classmethod
    def create(cls, workers: int) -> Self:
        """Return a new table, in memory if the system supports that."""
        if hasattr(os, "memfd_create"):  # the disk of a container may be read-only
            file = os.memfd_create("heed")
        else:
            with tempfile.TemporaryFile() as temporary:
                file = os.dup(temporary.fileno())
        os.truncate(file, TABLE_BYTES + 2 * CELL_BYTES * workers)
        os.pwrite(file, os.urandom(SECRET_BYTES), 0)
        return cls(file)
