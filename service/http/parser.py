"""httptools' parser, for a server that speaks HTTP/1 and nothing else."""

import re
from typing import Any, Protocol

import httptools

UNROUTED = b"UNLINK"
"""A method that the parser knows and no route has."""
_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) \S+ HTTP/1\.[01]\r\n")


class Connection(Protocol):
    """Whose requests are parsed, and what it tells of them."""

    parser: Any
    begun: int
    """Requests that have begun."""
    ended: int
    """Requests that have come whole."""
    put_off: bytes | None
    """The head of a request that offered another protocol, without the offer."""


class Parser(httptools.HttpRequestParser):
    """Parses for a connection; another takes its place there where httptools' would go no further.

    httptools drops the body of a request that offers another protocol, as Java's client and
    `curl --http2` do each time. A server may ignore the offer (RFC 9110, 7.8), so the request is
    parsed once more without it. And httptools knows only the methods that are registered. Another
    one is wrong for every path, so it is parsed as one that no route has.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        self._connection = connection

    def feed_data(self, data: bytes) -> None:  # type: ignore[override]
        """Parse what came; raises what httptools raises."""
        parser, left = self, self._feed(data)
        while left is not None:  # no recursion, as there may be hundreds of offers in it
            parser = self._connection.parser = Parser(self._connection)
            left = parser._feed(left)

    def _feed(self, data: bytes) -> bytes | None:
        """Parse what came; returns what another parser is to go on with."""
        connection = self._connection
        begun = connection.begun
        at_its_start = begun == connection.ended
        try:
            super().feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            if connection.put_off is None:
                raise
            head, connection.put_off = connection.put_off, None
            return head + data[offer.args[0] :]
        except httptools.HttpParserInvalidMethodError:
            line = _REQUEST_LINE.match(data)
            # Not where the line stands behind another request: what begins there is not known.
            if not (line and at_its_start and connection.begun == begun + 1):
                raise
            connection.begun = begun
            return UNROUTED + data[line.end(1) :]
        return None
