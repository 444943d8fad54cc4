"""A tar that is read once from its first byte to its last, and its MD5 sum meanwhile."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from luigi_ilsvrc.progress import BYTES, Progress
from luigi_ilsvrc.storage import disk_advice

_CHUNK = 1 << 20
_REPORT_BYTES = 16 << 20


class HashedTar:
    """The bytes of a file as a `tar.TarStream`; a thread computes the MD5 sum, which takes longer than all else.

    Parameters
    ----------
    file : FileIO
        The file, at its start.
    size : int
        Its bytes.
    stage : str
        What `progress` is told, in bytes.
    thread : ThreadPoolExecutor
        One thread.
    """

    def __init__(self, file: FileIO, size: int, stage: str, progress: Progress, thread: ThreadPoolExecutor) -> None:
        self._file = file
        self._size = size
        self._stage = stage
        self._progress = progress
        self._thread = thread
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._hashing: Future[None] | None = None
        self._chunk = memoryview(b"")
        # While one is hashed and looked at, the other is read.
        self._buffers = memoryview(bytearray(_CHUNK)), memoryview(bytearray(_CHUNK))
        self._start = self._at = self._reported = 0

    @property
    def position(self) -> int:
        """Bytes from the start of the file."""
        return self._start + self._at

    def __str__(self) -> str:
        return f"{self._file.name}, byte {self.position}"

    def read(self, size: int) -> bytes:
        """Return the next bytes; fewer only at the end."""
        parts = []
        while size and (self._at < len(self._chunk) or self._read_chunk()):
            part = self._chunk[self._at : self._at + size]
            parts.append(bytes(part))
            self._at += len(part)
            size -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def skip(self, size: int) -> bool:
        """Pass over bytes; return False if there are not so many."""
        while size and (self._at < len(self._chunk) or self._read_chunk()):
            count = min(size, len(self._chunk) - self._at)
            self._at += count
            size -= count
        return not size

    def md5_of_all(self) -> str:
        """Read to the end of the file, and return its MD5 sum, 32 lower-case hexadecimal digits."""
        while self._read_chunk():
            pass
        return self._md5.hexdigest()

    def _read_chunk(self) -> bool:
        """Read the next chunk and let the thread hash it; return False at the end, when all is hashed."""
        self._start += len(self._chunk)
        self._at = 0
        self._buffers = self._buffers[::-1]
        self._chunk = self._buffers[0][: self._read_into(self._buffers[0])]
        if self._hashing is not None:
            self._hashing.result()
        if not self._chunk:
            return False
        self._hashing = self._thread.submit(self._md5.update, self._chunk)
        if self._start - self._reported >= _REPORT_BYTES:
            self._reported = self._start
            self._progress(self._stage, self._start, self._size, BYTES)
        return True

    def _read_into(self, buffer: memoryview) -> int:
        try:
            return self._file.readinto(buffer)
        except OSError as error:
            error.filename = self._file.name
            raise


@contextmanager
def open_hashed(path: Path, stage: str, progress: Progress) -> Iterator[HashedTar]:
    """Open a file as a `HashedTar`. Raises OSError, which names it."""
    with ThreadPoolExecutor(1, "md5") as thread, FileIO(str(path)) as file:
        disk_advice.from_start_to_end(file.fileno())
        yield HashedTar(file, path.stat().st_size, stage, progress, thread)
