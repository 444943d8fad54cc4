"""The locked file beside a destination that holds what came so far, and the record of what it is a part of.

``<destination>.partial`` holds bytes from its start on, and may hold further ranges behind gaps; then
``<destination>.partial.json`` lists them. Without such a list the file's length says how far it goes.
"""

import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from io import FileIO
from pathlib import Path
from typing import Any, TypeAlias

from luigi_ilsvrc.locks import wait_for_lock
from luigi_ilsvrc.sources import DownloadError, Version

RECORD_EVERY = 4 << 20
"""Bytes after which the list of ranges is written anew: what a killed process may have to fetch again."""

RECORD_EVERY_SECONDS = 0.5
"""The same, for links that need long for so many bytes."""

HASHED_AT_ONCE = 1 << 20
"""Bytes that the MD5 reads at once: after each it may have to wait for the threads that fetch."""

FLUSHED_AT_ONCE = 16 << 20
"""Bytes after which the disk is set to work."""

Span: TypeAlias = tuple[int, int]
"""The offset of a range's first byte, and that behind its last one."""


class PartialFile:
    """What came so far of one file.

    Where bytes go (`append`, `write` and `hold`), what is known of the whole (`version`) and how far the MD5 has read
    (`hash_next`) do not depend on each other. Only `write` may be called by several threads at once.

    Attributes
    ----------
    path : Path
        The file.
    size : int
        Bytes held from the start on, without a gap.
    version : Version or None
        What the bytes are a part of.
    hashed : int
        Bytes that the MD5 has read.
    """

    def __init__(self, file: FileIO, path: Path) -> None:
        self.path = path
        self._file = file
        self._record = path.with_name(path.name + ".json")
        self._new_record = path.with_name(path.name + ".new")
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._buffer = memoryview(bytearray(HASHED_AT_ONCE))
        self.hashed = self._flushed = 0
        self.size = os.fstat(file.fileno()).st_size
        self._beyond: list[Span] = []
        self._is_listed = False
        self.version: Version | None = None
        self._recall()
        self._noted = (self.kept, time.monotonic())

    def _recall(self) -> None:
        try:
            record = json.loads(self._record.read_bytes())
            spans = record.pop("ranges", None)
            version = Version(**record)
            if spans is not None:
                # The file may be shorter than its list where a disk lost what it had promised.
                held = _joined((0, 0), *((int(start), min(int(end), self.size)) for start, end in spans))
                (_, self.size), *self._beyond = held
                self._is_listed = True
            self.version = version
        except (OSError, ValueError, TypeError, AttributeError):
            # What cannot be read is no part of anything: the download starts over.
            self.version = None

    @property
    def kept(self) -> int:
        """Bytes held in all."""
        return self.size + sum(end - start for start, end in self._beyond)

    @property
    def is_whole(self) -> bool:
        """Whether no byte is missing."""
        return self.version is not None and self.version.total == self.size

    @property
    def first_gap_end(self) -> int | None:
        """Where the bytes behind the first missing ones begin; None where there are none."""
        return self._beyond[0][0] if self._beyond else None

    def gaps(self, total: int) -> list[Span]:
        """Return the ranges that are missing of `total` bytes, in order."""
        starts = [self.size, *(end for _, end in self._beyond)]
        ends = [*(start for start, _ in self._beyond), total]
        return [(start, end) for start, end in zip(starts, ends, strict=True) if start < end]

    def may_be_part_of(self, address: str) -> bool:
        """Whether it is worth asking `address` for the rest."""
        known = self.version
        reach = self._beyond[-1][1] if self._beyond else self.size
        return known is not None and known.address == address and (known.total is None or reach <= known.total)

    def note(self, version: Version) -> None:
        """Record what the file is a part of."""
        if version != self.version:
            self.version = version
            self._write_record()

    def clear(self) -> None:
        """Start over with no bytes."""
        # First of all: a list must not outlive the bytes it speaks of, and come to speak of others.
        self._record.unlink(missing_ok=True)
        self._file.truncate(0)
        self.size = self.hashed = self._flushed = 0
        self._beyond = []
        self._is_listed = False
        self._md5 = hashlib.md5(usedforsecurity=False)
        self.version = None

    def keep_a_list(self) -> None:
        """Get ready for `write`: from now on the record tells what is held, and the file's length does not."""
        self._is_listed = True
        self._write_record()

    def keep_no_list(self) -> None:
        """Get ready for `append`: give up what is held behind gaps."""
        if self._is_listed:
            self._file.truncate(self.size)
            self._beyond = []
            self._is_listed = False
            self._write_record()

    def append(self, piece: bytes | memoryview, *, hashing: bool) -> None:
        """Write `piece` at the end, and let the MD5 read it while it is at hand."""
        rest = memoryview(piece)
        while rest:
            count = self.write(rest, self.size)
            self.size += count
            if hashing:
                self._md5.update(rest[:count])
                self.hashed += count
            rest = rest[count:]

    def write(self, piece: bytes | memoryview, offset: int) -> int:
        """Write the beginning of `piece` at `offset` and return how much; it counts once `hold` is told."""
        try:
            return os.pwrite(self._file.fileno(), piece, offset)
        except OSError as error:
            total = self.version.total if self.version else None
            raise DownloadError(self._about_room(f"cannot write {self.path} ({error.strerror})", total)) from None

    def hold(self, spans: Iterable[Span]) -> None:
        """Count what has been written, and record it from time to time."""
        (_, self.size), *self._beyond = _joined((0, self.size), *self._beyond, *spans)
        fresh = self.kept - self._noted[0]
        if fresh >= RECORD_EVERY or (fresh and time.monotonic() - self._noted[1] > RECORD_EVERY_SECONDS):
            self._write_record()

    def record(self) -> None:
        """Write down what is held now."""
        if self.version is not None:
            self._write_record()

    def _write_record(self) -> None:
        assert self.version is not None
        record: dict[str, Any] = asdict(self.version)
        if self._is_listed:
            record["ranges"] = [(0, self.size), *self._beyond]
        self._new_record.write_text(json.dumps(record))
        os.replace(self._new_record, self._record)
        self._noted = (self.kept, time.monotonic())

    def make_sure_of_room(self, total: int | None) -> None:
        """Raise DownloadError where the rest of `total` bytes cannot fit."""
        if total is not None and total - self.kept > shutil.disk_usage(self.path.parent).free:
            raise DownloadError(self._about_room(f"{self.path} will not fit on its disk", total))

    def _about_room(self, trouble: str, total: int | None) -> str:
        needed = "an unknown number of" if total is None else f"{total - self.kept:,}"
        free = shutil.disk_usage(self.path.parent).free
        return (
            f"{trouble}: {needed} bytes are still needed, {free:,} are free. Make room and run again; "
            f"the {self.kept:,} bytes that came are kept"
        )

    def hash_next(self) -> bool:
        """Let the MD5 read on; False where it has read all that is held from the start on.

        Raises
        ------
        DownloadError
            Where the disk does not give the bytes.
        """
        wanted = min(self.size - self.hashed, len(self._buffer))
        if wanted <= 0:
            return False
        try:
            count = os.preadv(self._file.fileno(), [self._buffer[:wanted]], self.hashed)
        except OSError as error:
            raise DownloadError(f"cannot read {self.path}: {error.strerror}") from None
        if not count:
            raise DownloadError(f"{self.path} was made shorter by another program; run again")
        self._md5.update(self._buffer[:count])
        self.hashed += count
        if self.hashed - self._flushed >= FLUSHED_AT_ONCE:
            self._flush()
        return True

    def _flush(self) -> None:
        """Have the system begin to write what has been read, so that `publish` need not wait for the disk."""
        # Linux begins to write the dirty pages, and drops clean ones. There is no other way that does not wait.
        os.posix_fadvise(self._file.fileno(), self._flushed, self.hashed - self._flushed, os.POSIX_FADV_DONTNEED)
        self._flushed = self.hashed

    def hexdigest(self) -> str:
        """Return the MD5 sum of what has been read, 32 lower-case hexadecimal digits."""
        return self._md5.hexdigest()

    def publish(self, destination: Path) -> None:
        """Give the file its name."""
        os.fsync(self._file.fileno())
        os.replace(self.path, destination)
        self._remove_record()

    def remove(self) -> None:
        """Leave nothing behind."""
        self._remove_record()
        self.path.unlink(missing_ok=True)

    def _remove_record(self) -> None:
        self._record.unlink(missing_ok=True)
        self._new_record.unlink(missing_ok=True)


def _joined(*spans: Span) -> list[Span]:
    """Return the spans in order, as few as cover the same bytes; the first begins at 0 where one of `spans` does."""
    joined: list[Span] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        elif start < end or not joined:
            joined.append((start, end))
    return joined


@contextmanager
def locked(destination: Path) -> Iterator[PartialFile | None]:
    """Own the partial file of `destination`, or get None once `destination` is there."""
    path = destination.with_name(destination.name + ".partial")
    while not destination.exists():
        with FileIO(path, "r+", opener=_open_or_create) as file:
            wait_for_lock(file, path)
            if not _is_ours(file, path):
                continue
            partial = PartialFile(file, path)
            if destination.exists():
                partial.remove()
                continue
            try:
                yield partial
            finally:
                if partial.kept == 0:
                    partial.remove()
            return
    yield None


def _open_or_create(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW, 0o666)


def _is_ours(file: FileIO, path: Path) -> bool:
    """Whether the locked file is still the one at `path`, and nobody else's by a hard link."""
    locked = os.fstat(file.fileno())
    if locked.st_nlink > 1:
        # Only this name goes: the bytes stay with the other one.
        path.unlink(missing_ok=True)
        return False
    try:
        return os.path.samestat(locked, path.stat())
    except FileNotFoundError:
        return False
