"""The locked file beside a destination that holds the bytes received so far.

``<destination>.partial`` holds bytes from its start on, and may hold further ranges after gaps; if so, its record (see
`partial_record`) lists the ranges. Without such a list, the file's length says which bytes it holds.
"""

import hashlib
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from luigi_ilsvrc.download.partial_record import (
    Range,
    companions_of,
    link_probe_path,
    read_record,
    record_path,
    write_record,
)
from luigi_ilsvrc.download.source import DownloadError, FileVersion
from luigi_ilsvrc.storage.disk import free_bytes
from luigi_ilsvrc.storage.locks import locked
from luigi_ilsvrc.storage.publish import partial_path

RECORD_INTERVAL_BYTES = 4 << 20
"""Write the list of ranges after this many bytes; a killed process may have to download as many again."""

RECORD_INTERVAL_SECONDS = 0.5
"""The same in seconds, for connections that take long for so many bytes."""

HASH_CHUNK = 1 << 20
"""Bytes that the MD5 reads at once; after each chunk it may have to wait for the threads that download."""

FLUSH_INTERVAL_BYTES = 16 << 20
"""Ask the system to start writing to the disk after this many bytes."""

_STAT_BLOCK = 512
"""Bytes of a block in `os.stat_result`, whatever the file system's own are."""


def allocated_bytes(destination: Path) -> int:
    """Return the bytes that the partial file of `destination` takes on the disk; 0 if there is none.

    That is less than its length if several connections have left gaps, which take no space yet.
    """
    try:
        return partial_path(destination).stat().st_blocks * _STAT_BLOCK
    except (FileNotFoundError, NotADirectoryError):
        return 0


def companion_files(destination: Path) -> list[Path]:
    """Return the paths of all that a download may keep beside the partial file of `destination`."""
    return companions_of(partial_path(destination))


@contextmanager
def open_partial(destination: Path, *, hashing: bool) -> Iterator["PartialFile | None"]:
    """Lock the partial file of `destination`, and make it if it is missing.

    Yields None if `destination` exists already, or once another process has downloaded it. After the block, a partial
    file without any bytes is removed.

    Parameters
    ----------
    destination : Path
        The file that is downloaded.
    hashing : bool
        Whether to compute the MD5 sum of the bytes.

    Raises
    ------
    OSError
        If the folder does not exist or may not be written.
    """
    if destination.exists():
        yield None
        return
    path = partial_path(destination)
    with locked(path, _open_path) as descriptor:
        partial = PartialFile(descriptor, path, hashing=hashing)
        if destination.exists():
            partial.remove()
            yield None
            return
        try:
            yield partial
        finally:
            if partial.bytes_held == 0:
                partial.remove()


def _open_path(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        if os.fstat(descriptor).st_nlink <= 1:
            return descriptor
        # A hard link to another file, which is not to be written. Only this name of it is removed.
        os.close(descriptor)
        path.unlink(missing_ok=True)


class PartialFile:
    """The bytes of one file that were received so far.

    Three things are independent of each other: which bytes are held (`append`; `write` and `mark_received`), what is
    known of the whole file (`version`), and how far the MD5 has read (`hash_next`). Only `write` may be called by
    several threads at once.

    Attributes
    ----------
    path : Path
        The file.
    size : int
        Bytes held from the start on, without a gap.
    version : FileVersion or None
        What the bytes are a part of.
    bytes_hashed : int
        Bytes that the MD5 has read.
    """

    def __init__(self, descriptor: int, path: Path, *, hashing: bool) -> None:
        self.path = path
        self._descriptor = descriptor
        self._hashing = hashing
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._buffer = memoryview(bytearray(HASH_CHUNK))
        self.bytes_hashed = self._bytes_flushed = 0
        self.size = os.fstat(descriptor).st_size
        self._later_ranges: list[Range] = []
        self._is_tracking_ranges = False
        self.version: FileVersion | None = None
        self._load()
        self._recorded = (self.bytes_held, time.monotonic())

    def _load(self) -> None:
        record = read_record(self.path)
        # Without a valid record: start over.
        self.version, ranges = record or (None, None)
        if ranges is not None:
            # The file is shorter than the list says if the disk lost what was not written yet.
            self.size, self._later_ranges = _merge(0, [(start, min(end, self.size)) for start, end in ranges])
            self._is_tracking_ranges = True

    @property
    def bytes_held(self) -> int:
        """Bytes held in total."""
        return self.size + sum(end - start for start, end in self._later_ranges)

    @property
    def bytes_to_hash(self) -> int:
        """Bytes held from the start on that the MD5 has not read yet; 0 if no MD5 sum is computed."""
        return self.size - self.bytes_hashed if self._hashing else 0

    @property
    def is_complete(self) -> bool:
        """Whether no byte is missing."""
        return self.version is not None and self.version.total == self.size

    @property
    def first_gap_end(self) -> int | None:
        """The offset after the first gap; None if there is no gap."""
        return self._later_ranges[0][0] if self._later_ranges else None

    def gaps(self, total: int) -> list[Range]:
        """Return the ranges that are missing of `total` bytes, in order."""
        starts = [self.size, *(end for _, end in self._later_ranges)]
        ends = [*(start for start, _ in self._later_ranges), total]
        return [(start, end) for start, end in zip(starts, ends, strict=True) if start < end]

    def can_continue_from(self, address: str) -> bool:
        """Tell whether the bytes may be a part of the file at `address`."""
        known = self.version
        last = self._later_ranges[-1][1] if self._later_ranges else self.size
        return known is not None and known.address == address and (known.total is None or last <= known.total)

    def set_version(self, version: FileVersion) -> None:
        """Record what the bytes are a part of."""
        if version != self.version:
            self.version = version
            self._write_record()

    def clear(self) -> None:
        """Remove all bytes."""
        # The record first: it must not survive the bytes that it lists, and then be taken for one of other bytes.
        record_path(self.path).unlink(missing_ok=True)
        os.ftruncate(self._descriptor, 0)
        self.size = self.bytes_hashed = self._bytes_flushed = 0
        self._later_ranges = []
        self._is_tracking_ranges = False
        self._md5 = hashlib.md5(usedforsecurity=False)
        self.version = None

    def track_ranges(self) -> None:
        """Prepare for `write`: from now on the record says which bytes are held, and the file's length does not."""
        self._is_tracking_ranges = True
        self._write_record()

    def drop_ranges(self) -> None:
        """Prepare for `append`: remove what is held after gaps."""
        if self._is_tracking_ranges:
            os.ftruncate(self._descriptor, self.size)
            self._later_ranges = []
            self._is_tracking_ranges = False
            self._write_record()

    def append(self, chunk: bytes | memoryview) -> None:
        """Write `chunk` at the end; the MD5 reads it from memory."""
        rest = memoryview(chunk)
        while rest:
            count = self.write(rest, self.size)
            self.size += count
            if self._hashing:
                self._md5.update(rest[:count])
                self.bytes_hashed += count
            rest = rest[count:]

    def write(self, chunk: bytes | memoryview, offset: int) -> int:
        """Write the beginning of `chunk` at `offset`; return how many bytes. They count after `mark_received`."""
        try:
            return os.pwrite(self._descriptor, chunk, offset)
        except OSError as error:
            total = self.version.total if self.version else None
            raise self._space_error(f"cannot write {self.path} ({error.strerror})", total) from None

    def mark_received(self, ranges: Iterable[Range]) -> None:
        """Count ranges that were written, and record them from time to time."""
        self.size, self._later_ranges = _merge(self.size, [*self._later_ranges, *ranges])
        unrecorded = self.bytes_held - self._recorded[0]
        waited = time.monotonic() - self._recorded[1]
        if unrecorded >= RECORD_INTERVAL_BYTES or (unrecorded and waited > RECORD_INTERVAL_SECONDS):
            self._write_record()

    def save_record(self) -> None:
        """Record now what is held."""
        if self.version is not None:
            self._write_record()

    def _write_record(self) -> None:
        assert self.version is not None
        ranges = [(0, self.size), *self._later_ranges] if self._is_tracking_ranges else None
        write_record(self.path, self.version, ranges)
        self._recorded = (self.bytes_held, time.monotonic())

    def check_free_space(self, total: int | None) -> None:
        """Raise DownloadError if the disk has no space for what is missing of `total` bytes."""
        free = free_bytes(self.path.parent)
        if total is not None and free is not None and total - self.bytes_held > free:
            raise self._space_error(f"{self.path} does not fit on its disk", total)

    def _space_error(self, problem: str, total: int | None) -> DownloadError:
        free = free_bytes(self.path.parent)
        needed = "an unknown number of" if total is None else f"{total - self.bytes_held:,}"
        available = "an unknown number" if free is None else f"{free:,}"
        return DownloadError(
            f"{problem}: {needed} bytes are still needed, {available} are free. Free some space and run again; "
            f"the {self.bytes_held:,} bytes received so far are kept"
        )

    def hash_next(self) -> bool:
        """Let the MD5 read the next chunk; return False if there is nothing more to read.

        Raises
        ------
        DownloadError
            If the file cannot be read.
        """
        wanted = min(self.bytes_to_hash, len(self._buffer))
        if wanted <= 0:
            return False
        try:
            count = os.preadv(self._descriptor, [self._buffer[:wanted]], self.bytes_hashed)
        except OSError as error:
            raise DownloadError(f"cannot read {self.path}: {error.strerror}") from None
        if not count:
            raise DownloadError(f"{self.path} has become shorter: another program has changed it; run again")
        self._md5.update(self._buffer[:count])
        self.bytes_hashed += count
        if self.bytes_hashed - self._bytes_flushed >= FLUSH_INTERVAL_BYTES:
            self._flush()
        return True

    def _flush(self) -> None:
        """Ask the system to start writing what was hashed, so that `publish` need not wait for the disk."""
        # Linux starts to write the dirty pages and drops clean ones. No other call does that without waiting.
        length = self.bytes_hashed - self._bytes_flushed
        os.posix_fadvise(self._descriptor, self._bytes_flushed, length, os.POSIX_FADV_DONTNEED)
        self._bytes_flushed = self.bytes_hashed

    def hexdigest(self) -> str:
        """Return the MD5 sum of what was hashed, 32 lower-case hexadecimal digits."""
        return self._md5.hexdigest()

    def can_link(self, original: Path) -> bool:
        """Try whether `original` can be hard-linked beside this file.

        It must be on the same file system, and often of the same owner (fs.protected_hardlinks).
        """
        probe = link_probe_path(self.path)
        probe.unlink(missing_ok=True)
        try:
            os.link(original, probe)
        except OSError:
            return False
        probe.unlink()
        return True

    def publish(self, destination: Path) -> None:
        """Rename the file to `destination`, once it is on the disk."""
        os.fsync(self._descriptor)
        os.replace(self.path, destination)
        self._remove_companions()

    def remove(self) -> None:
        """Remove the file and all that is kept beside it."""
        self._remove_companions()
        self.path.unlink(missing_ok=True)

    def _remove_companions(self) -> None:
        for path in companions_of(self.path):
            path.unlink(missing_ok=True)


def _merge(size: int, ranges: Iterable[Range]) -> tuple[int, list[Range]]:
    """Add ranges to the first `size` bytes; return the new size, and the ranges after gaps in order."""
    merged = [(0, size)]
    for start, end in sorted(ranges):
        if start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        elif start < end:
            merged.append((start, end))
    return merged[0][1], merged[1:]
