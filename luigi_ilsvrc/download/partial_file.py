"""The file beside a destination that holds the bytes received so far.

``<destination>.partial`` holds bytes from its start on, and may hold further ranges after gaps; if so, its record (see
`partial_record`) lists the ranges. Without such a list, the file's length says which bytes it holds.

If locks do not work, two processes may write the same file. So nothing is ever cut off: to start over is to make a new
file, under another name first. Before a process writes, records, removes or publishes, it checks that the file is still
the one of this name; and what it verifies and publishes is a copy (see `private_copy`).
"""

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from luigi_ilsvrc.download.disk_errors import full_advice, write_error
from luigi_ilsvrc.download.file_hash import HASH_CHUNK, FileHash
from luigi_ilsvrc.download.named_file import NamedFile
from luigi_ilsvrc.download.partial_record import Range, companions_of, read_record, record_path, write_record
from luigi_ilsvrc.download.private_copy import PrivateCopy, copy_privately
from luigi_ilsvrc.download.source import DownloadError, FileVersion
from luigi_ilsvrc.progress import BYTES, Progress
from luigi_ilsvrc.storage.disk import free_bytes
from luigi_ilsvrc.storage.publish import publish_file
from luigi_ilsvrc.storage.temporary import partial_path

RECORD_INTERVAL_BYTES = 4 << 20
"""Write the list of ranges after this many bytes; a killed process may have to download as many again."""

RECORD_INTERVAL_SECONDS = 0.5
"""The same in seconds, for connections that take long for so many bytes."""

_STAT_BLOCK = 512
"""Bytes of a block in `os.stat_result`, whatever the file system's own are."""


def allocated_bytes(destination: Path) -> int:
    """Return the bytes that the partial file of `destination` takes on the disk; 0 if there is none.

    That is less than its length if several connections have left gaps, which take no space yet.
    """
    try:
        return partial_path(destination).stat(follow_symlinks=False).st_blocks * _STAT_BLOCK
    except (FileNotFoundError, NotADirectoryError):
        return 0


def companion_files(destination: Path) -> list[Path]:
    """Return the paths of all that a download may keep beside the partial file of `destination`."""
    return companions_of(partial_path(destination))


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
    is_exclusive : bool
        Whether a lock surely keeps all other processes out.
    has_earlier_bytes : bool
        Whether an earlier call has received some of the bytes; a power cut may have damaged them.
    """

    def __init__(self, descriptor: int, path: Path, *, hashing: bool, is_exclusive: bool) -> None:
        self.path = path
        self.is_exclusive = is_exclusive
        self._descriptor = descriptor
        self._hashing = hashing
        self._hash = FileHash(descriptor, path)
        self._file = NamedFile(descriptor, path)
        self._copy: PrivateCopy | None = None
        self.size = os.fstat(descriptor).st_size
        self._later_ranges: list[Range] = []
        self._is_tracking_ranges = False
        self.version: FileVersion | None = None
        self._load()
        self.has_earlier_bytes = self.bytes_held > 0
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
    def bytes_hashed(self) -> int:
        """Bytes that the MD5 has read."""
        return self._hash.position

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
        self._file.check_not_lost()
        # The record first: it must not survive the bytes that it lists, and then be taken for one of other bytes.
        self._unlink(record_path(self.path))
        if os.fstat(self._descriptor).st_size:
            self._file.replace()
        self.size = 0
        self._later_ranges = []
        self._is_tracking_ranges = self.has_earlier_bytes = False
        self._hash = FileHash(self._descriptor, self.path)
        self.version = None

    def track_ranges(self) -> None:
        """Prepare for `write`: from now on the record says which bytes are held, and the file's length does not."""
        self._is_tracking_ranges = True
        self._write_record()

    def drop_ranges(self) -> None:
        """Prepare for `append`: forget what is held after gaps; it is overwritten."""
        if self._later_ranges:
            self._later_ranges = []
            self._write_record()

    def append(self, chunk: bytes | memoryview) -> None:
        """Write `chunk` at the end; the MD5 reads it from memory."""
        rest = memoryview(chunk)
        while rest:
            count = self.write(rest, self.size)
            self.size += count
            if self._hashing:
                self._hash.update(rest[:count])
            rest = rest[count:]
        if self._is_tracking_ranges:
            self._record_if_due()

    def write(self, chunk: bytes | memoryview, offset: int) -> int:
        """Write the beginning of `chunk` at `offset`; return how many bytes. They count after `mark_received`."""
        if not self.is_exclusive:
            self._file.check_not_lost()
        try:
            return os.pwrite(self._descriptor, chunk, offset)
        except OSError as error:
            raise self._write_error(error) from None

    def mark_received(self, ranges: Iterable[Range]) -> None:
        """Count ranges that were written, and record them from time to time."""
        self.size, self._later_ranges = _merge(self.size, [*self._later_ranges, *ranges])
        self._record_if_due()

    def _record_if_due(self) -> None:
        unrecorded = self.bytes_held - self._recorded[0]
        waited = time.monotonic() - self._recorded[1]
        if unrecorded >= RECORD_INTERVAL_BYTES or (unrecorded and waited > RECORD_INTERVAL_SECONDS):
            self._write_record()

    def save_record(self) -> None:
        """Record now what is held, unless the file's length says it; if the disk is full, the last record stays."""
        if self.version is not None and self._is_tracking_ranges:
            with suppress(OSError):
                self._write_record()

    def _write_record(self) -> None:
        assert self.version is not None
        self._file.check_not_lost()
        ranges = [(0, self.size), *self._later_ranges] if self._is_tracking_ranges else None
        if ranges and not self._hashing:
            # No MD5 sum would find what a power cut takes away.
            os.fdatasync(self._descriptor)
        write_record(self.path, self.version, ranges)
        self._recorded = (self.bytes_held, time.monotonic())

    def check_free_space(self, total: int | None) -> None:
        """Raise DownloadError if the disk has no space for what is missing of `total` bytes."""
        free = free_bytes(self.path.parent)
        if total is not None and free is not None and total - self.bytes_held > free:
            raise DownloadError(
                f"{self.path} does not fit on its disk: {self._space(total)}. Free some space and run again; "
                f"{self._kept}"
            )

    def _write_error(self, error: OSError) -> DownloadError:
        advice = full_advice(error, self.path)
        if advice is None:
            return DownloadError(f"{write_error(error, self.path)}; {self._kept}")
        total = self.version.total if self.version else None
        return DownloadError(
            f"cannot write {self.path}: {error.strerror}: {self._space(total)}; {advice}; {self._kept}"
        )

    def _space(self, total: int | None) -> str:
        free = free_bytes(self.path.parent)
        needed = "an unknown number of" if total is None else f"{total - self.bytes_held:,}"
        available = "an unknown number" if free is None else f"{free:,}"
        return f"{needed} bytes are still needed, {available} are free"

    @property
    def _kept(self) -> str:
        return f"the {self.bytes_held:,} bytes received so far are kept"

    def hash_next(self) -> bool:
        """Let the MD5 read the next chunk; return False if there is nothing more to read.

        Raises
        ------
        DownloadError
            If the file cannot be read.
        """
        wanted = min(self.bytes_to_hash, HASH_CHUNK)
        if wanted <= 0:
            return False
        self._hash.read(wanted)
        return True

    def hexdigest(self, progress: Progress) -> str:
        """Return the MD5 sum of the complete file, 32 lower-case hexadecimal digits.

        If another process may have written it, that is the sum of a new copy of it, which `publish` publishes.

        Raises
        ------
        PartialFileLostError
            If the file is no longer the one of its name.
        DownloadError
            If the file cannot be read.
        OSError
            If the copy cannot be written.
        """
        return self._hash.hexdigest() if self.is_exclusive else self._make_copy(progress).md5

    def _make_copy(self, progress: Progress) -> PrivateCopy:
        self.discard_copy()
        self._copy = copy_privately(self.path, self.size, lambda done: progress("checking", done, self.size, BYTES))
        return self._copy

    def discard_copy(self) -> None:
        """Remove the copy that was verified, unless it is published."""
        if self._copy is not None:
            self._copy.path.unlink(missing_ok=True)
            self._copy = None

    def publish(self, destination: Path, progress: Progress) -> None:
        """Give the file, or its copy, the name `destination`, once it is on the disk; if that exists, it stays.

        Raises
        ------
        PartialFileLostError
            If the file is no longer the one of its name.
        DownloadError
            If another program has made it shorter or longer.
        OSError
            If it cannot be written to the disk or published.
        """
        self._file.check_not_lost()
        name, size = self._on_the_disk(progress)
        if size != self.size:
            raise DownloadError(f"{self.path}: another program has changed it; run again")
        publish_file(name, destination)
        if not self._file.is_lost():
            self.path.unlink(missing_ok=True)
        # Last: without its record, a partial file would be started over if this is interrupted.
        self._remove_companions()

    def _on_the_disk(self, progress: Progress) -> tuple[Path, int]:
        """Return the path to publish, and its bytes."""
        if self.is_exclusive:
            os.fsync(self._descriptor)
            return self.path, os.fstat(self._descriptor).st_size
        copy = self._copy or self._make_copy(progress)
        return copy.path, copy.size

    def remove(self) -> None:
        """Remove the file and all that is kept beside it, unless another process has replaced it."""
        if self._file.is_lost():
            return
        self._remove_companions()
        self.path.unlink(missing_ok=True)

    def _remove_companions(self) -> None:
        for path in companions_of(self.path):
            self._unlink(path)

    def _unlink(self, path: Path) -> None:
        # A folder of this name is not ours, and does no harm.
        with suppress(IsADirectoryError, PermissionError):
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
