"""How requests speaks to a server, with two things that neither it nor urllib3 does.

A server that sends too slowly, or endless headers, ends the request: time-outs of a socket only count the silence
between two packets. And the query of a URL, which may be a signature, is kept from the logs and the exceptions of
urllib3: it is added when the request is written to the socket.
"""

import io
import time
from dataclasses import dataclass
from functools import partial
from http.client import HTTPResponse
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from luigi_ilsvrc.download.source import TransientError

WINDOW_SECONDS = 60.0
"""The rate of a reply is measured over so many seconds of waiting."""

MAX_OVERHEAD = 1 << 20
"""Bytes of headers, or of what stands between the bytes of a body, at most: some parsers read these without an end."""


@dataclass(frozen=True)
class RateLimit:
    """How slow a server may be.

    Attributes
    ----------
    bytes_per_second : float
        The lowest rate; 0 for none.
    seconds : float
        Over how long it is measured.
    """

    bytes_per_second: float
    seconds: float

    @property
    def bytes(self) -> int:
        """Bytes that must arrive in `seconds`."""
        return int(self.bytes_per_second * self.seconds)


class Adapter(HTTPAdapter):
    """An adapter of requests whose replies have a lowest rate."""

    def __init__(self, limit: RateLimit) -> None:
        # Before what it is used in.
        self._pools = {"http": partial(_Pool, limit=limit), "https": partial(_SecurePool, limit=limit)}
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pools of connections without a proxy."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        """Make the pools of connections by a proxy; those of SOCKS have classes of their own."""
        manager = super().proxy_manager_for(proxy, **kwargs)
        if not proxy.lower().startswith("socks"):
            manager.pool_classes_by_scheme = self._pools
        return manager


class _MeteredFile(io.RawIOBase):
    """The bytes from a socket, counted while they are read."""

    def __init__(self, raw: io.RawIOBase, limit: RateLimit) -> None:
        self._raw = raw
        self._limit = limit
        self._count, self._waited = 0, 0.0
        self._allowed = MAX_OVERHEAD

    def allow(self, body: int) -> None:
        """Allow `body` bytes and as many others as are usual, from now on."""
        self._allowed = body + MAX_OVERHEAD

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        begin = time.monotonic()
        count: int | None = self._raw.readinto(buffer)
        # Only the time spent here: not that in which a disk was slow to write.
        self._waited += time.monotonic() - begin
        self._count += count or 0
        self._allowed -= count or 0
        if self._allowed < 0:
            raise TransientError(f"the server sent more than {MAX_OVERHEAD:,} bytes that are not of the file")
        if self._waited >= self._limit.seconds:
            self._check_rate()
        return count

    def _check_rate(self) -> None:
        if self._count < self._limit.bytes_per_second * self._waited:
            raise TransientError(
                f"the server sent {self._count:,} bytes in {self._waited:.0f} s, which is less than min_rate "
                f"({self._limit.bytes_per_second:,.0f} bytes a second)",
                min_gain=self._limit.bytes,
            )
        self._count, self._waited = 0, 0.0

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(HTTPResponse):
    """A reply whose bytes are counted."""

    def __init__(self, sock: Any, *args: Any, limit: RateLimit, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self._metered = _MeteredFile(self.fp.detach(), limit)
        self.fp = io.BufferedReader(self._metered)

    def begin(self) -> None:
        """Read the status and the headers."""
        self._metered.allow(0)
        super().begin()
        # Lines that are no headers: urllib3 would log them all, with a traceback.
        self.headers.defects = []
        self.headers.set_payload("")

    def read1(self, n: int = -1) -> bytes:
        """Read up to `n` bytes of the body, waiting only if there is none yet."""
        self._metered.allow(max(n, 0))
        return super().read1(n)


class _QueryMixin:
    """Adds the query of a URL when the request is written."""

    query = ""

    def putrequest(self, method: str, url: str, *args: Any, **kwargs: Any) -> None:
        super().putrequest(method, url + self.query, *args, **kwargs)  # type: ignore[misc]


class _Connection(_QueryMixin, HTTPConnection):
    pass


class _SecureConnection(_QueryMixin, HTTPSConnection):
    pass


class _PoolMixin:
    """Takes the query from the URL before urllib3 sees it; used by one thread at a time."""

    def __init__(self, *args: Any, limit: RateLimit, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._limit = limit
        self._query = ""

    def _new_conn(self) -> Any:
        connection = super()._new_conn()  # type: ignore[misc]
        connection.response_class = partial(_Response, limit=self._limit)
        return connection

    def urlopen(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        url, mark, query = url.partition("?")
        self._query = mark + query
        return super().urlopen(method, url, *args, **kwargs)  # type: ignore[misc]

    def _make_request(self, conn: Any, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        conn.query = self._query
        return super()._make_request(conn, method, url, *args, **kwargs)  # type: ignore[misc]


class _Pool(_PoolMixin, HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(_PoolMixin, HTTPSConnectionPool):
    ConnectionCls = _SecureConnection
