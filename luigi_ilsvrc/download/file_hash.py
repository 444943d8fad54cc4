"""The MD5 sum of a file while it is being received."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from luigi_ilsvrc.download.disk_errors import read_error
from luigi_ilsvrc.download.source import DownloadError
from luigi_ilsvrc.storage import disk_advice

HASH_CHUNK = 1 << 20
"""Bytes that the MD5 reads at once; after each chunk it may have to wait for the threads that download."""

FLUSH_INTERVAL_BYTES = 16 << 20
"""Ask the system to start writing to the disk after this many bytes."""


class FileHash:
    """The MD5 sum of the beginning of a file.

    Attributes
    ----------
    position : int
        Bytes that were hashed.
    """

    def __init__(self, descriptor: int, path: Path) -> None:
        self._descriptor = descriptor
        self._path = path
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._buffer = memoryview(bytearray(HASH_CHUNK))
        self.position = self._flushed = 0

    def update(self, chunk: bytes | memoryview) -> None:
        """Hash the next bytes of the file, which are in memory."""
        self._md5.update(chunk)
        self.position += len(chunk)

    def read(self, count: int) -> None:
        """Hash the next bytes of the file, up to `count` of them.

        Raises
        ------
        DownloadError
            If the file cannot be read, or ends here.
        """
        chunk = self._read_chunk(count)
        if not chunk:
            raise DownloadError(f"{self._path} has become shorter: another program has changed it; run again")
        self.update(chunk)
        if self.position - self._flushed >= FLUSH_INTERVAL_BYTES:
            self._flush()

    def read_until(self, end: int) -> Iterator[memoryview]:
        """Hash the file up to the offset `end`, or to its own end; yield each chunk, which the next one overwrites."""
        while chunk := self._read_chunk(min(HASH_CHUNK, end - self.position)):
            self.update(chunk)
            yield chunk

    def hexdigest(self) -> str:
        """Return the MD5 sum, 32 lower-case hexadecimal digits."""
        return self._md5.hexdigest()

    def _read_chunk(self, count: int) -> memoryview:
        try:
            return self._buffer[: os.preadv(self._descriptor, [self._buffer[:count]], self.position)]
        except OSError as error:
            raise read_error(error, self._path, "remove it to download it again") from None

    def _flush(self) -> None:
        """Ask the system to start writing what was hashed, so that publishing need not wait for the disk."""
        disk_advice.written(self._descriptor, self._flushed, self.position - self._flushed)
        self._flushed = self.position
