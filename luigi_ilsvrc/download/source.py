"""What a web server is as the source of a file.

A source sends the bytes of its file from any offset on, as a `Reply`. It knows nothing of what is done with them, and
it retries nothing: a `TransientError` says that another attempt may succeed.
"""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from typing import Protocol

from luigi_ilsvrc.download.cookies import Cookies
from luigi_ilsvrc.errors import BuildError

CHUNK = 1 << 18
"""Bytes that are read at once. Each chunk is allocated anew, and TLS fills no more than 16 KiB of it: measured, 1 MiB
is slower for both HTTP and HTTPS."""


class DownloadError(BuildError):
    """A file could not be downloaded; what was received so far is kept if it is of use."""


class TransientError(Exception):
    """A source failed in a way that another attempt may not.

    Parameters
    ----------
    reason : str
        What happened, for a person.
    retry_after : float, optional
        Seconds that the source asks to wait.
    start_over : bool, optional
        Whether the bytes received so far are known to be of no use.
    min_gain : int, optional
        New bytes that the attempt must have brought to count as progress.
    """

    def __init__(
        self, reason: str, *, retry_after: float | None = None, start_over: bool = False, min_gain: int = 1
    ) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.start_over = start_over
        self.min_gain = min_gain


@dataclass(frozen=True)
class FileVersion:
    """What tells one version of a file from another; what is not known is None.

    Attributes
    ----------
    address : str
        Its URL without the query.
    total : int or None
        Its size in bytes.
    etag, modified : str or None
        The headers ETag and Last-Modified, unchanged.
    """

    address: str
    total: int | None = None
    etag: str | None = None
    modified: str | None = None

    def merge(self, other: "FileVersion") -> "FileVersion | None":
        """Return what the two know together, or None if they are different versions."""
        mine, others = asdict(self), asdict(other)
        if any(None not in (mine[key], others[key]) and mine[key] != others[key] for key in mine):
            return None
        return FileVersion(**{key: others[key] if mine[key] is None else mine[key] for key in mine})


@dataclass(frozen=True)
class Reply:
    """A part of a file, as its source sends it.

    Attributes
    ----------
    version : FileVersion
        What the bytes are a part of.
    start : int
        Offset of the first byte. It may be another one than was asked for.
    chunks : iterable of bytes or memoryview
        The bytes; they may end before the offset that was asked for. Each chunk is valid until the next one.
    parallel : ParallelSource or None
        The source, if it says that it sends any part of the file, so that several connections can be used at once.
    close : callable
        Ends the reply before its last byte.
    """

    version: FileVersion
    start: int
    chunks: Iterable[bytes | memoryview]
    parallel: "ParallelSource | None" = None
    close: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class HttpOptions:
    """How a web server is asked.

    Attributes
    ----------
    timeout : float
        Seconds to wait for a connection, and for the next bytes of a reply.
    min_rate : float
        Bytes a second that a reply must bring; 0 for any.
    has_checksum : bool
        Whether an MD5 sum decides at the end. Then the file's length is enough to tell that it is the same file: the
        hosts of a mirror may send other ETags and dates for the same bytes.
    cookies : Cookies
        Each is sent to the URLs that it is for; those that servers set are added.
    """

    timeout: float
    min_rate: float = 0
    has_checksum: bool = False
    cookies: Cookies = field(default_factory=Cookies)


class Source(Protocol):
    """One file at its server."""

    @property
    def address(self) -> str:
        """The file's URL, as it may be shown and stored: without user name and signature."""

    def open(
        self, start: int = 0, version: FileVersion | None = None, end: int | None = None
    ) -> AbstractContextManager[Reply]:
        """Ask for the bytes from offset `start` up to `end` (by default to the file's end), if it is still `version`.

        If the file has changed, the reply is all of the new version, from 0 on.

        Raises
        ------
        TransientError
            If another attempt may succeed; also while the chunks are read.
        DownloadError
            If no further attempt can succeed; also while the chunks are read.
        """


class ParallelSource(Source, Protocol):
    """A source that several threads can ask at the same time, each with an object of its own."""

    def for_thread(self) -> "ParallelSource":
        """Return the same file, to be asked for from another thread."""

    def abort(self) -> None:
        """End the reply that another thread reads; that thread gets a `TransientError` or the end of the reply."""

    def close(self) -> None:
        """Close the connections that are kept for the next request."""
