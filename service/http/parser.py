"""httptools' request parser, adapted to a server that supports HTTP/1 only."""

import re
from typing import TYPE_CHECKING

import httptools

if TYPE_CHECKING:
    from heed.service.http.protocol import Protocol

METHOD_WITHOUT_ROUTE = b"UNLINK"
"""A method that httptools supports and no route has."""
_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) \S+ HTTP/1\.[01]\r\n")


class Parser(httptools.HttpRequestParser):
    """Parses a connection's requests. Where httptools would stop, a new parser continues.

    httptools drops the body of a request that offers another protocol, as `curl --http2` and
    Java's client do. A server may ignore the offer (RFC 9110, 7.8), so the request is parsed again
    without it. httptools also rejects methods that are not registered. Such a method is wrong for
    every path, so it is replaced by one that no route has; the client then receives 405.
    """

    def __init__(self, connection: "Protocol") -> None:
        super().__init__(connection)
        self.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        self._connection = connection

    def feed_data(self, data: bytes) -> None:  # type: ignore[override]
        """Parse the bytes; raises what httptools raises."""
        parser, rest = self, self._feed(data)
        while rest is not None:  # a loop, because one packet may hold hundreds of such requests
            parser = self._connection.parser = Parser(self._connection)
            rest = parser._feed(rest)

    def _feed(self, data: bytes) -> bytes | None:
        """Parse the bytes; return what a new parser has to parse."""
        connection = self._connection
        begun = connection.begun
        between_requests = begun == connection.ended
        try:
            super().feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if connection.upgrade_head is None:
                raise
            head, connection.upgrade_head = connection.upgrade_head, None
            return head + data[upgrade.args[0] :]
        except httptools.HttpParserInvalidMethodError:
            line = _REQUEST_LINE.match(data)
            # Behind another request in the same packet the line's position is unknown.
            if not (line and between_requests and connection.begun == begun + 1):
                raise
            connection.begun = begun
            return METHOD_WITHOUT_ROUTE + data[line.end(1) :]
        return None
