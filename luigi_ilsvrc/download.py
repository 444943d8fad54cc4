"""A URL or a folder -> one verified file.

Bytes flow one way: `_take` asks the source (see `sources`) for what is missing and appends it to the `_Partial`
beside the destination, `_fill` repeats that until nothing is missing, and once the MD5 is right the partial file gets
the destination's name. ``<destination>.partial`` is locked all the while; ``<destination>.partial.json`` says what it
is a part of, so that whoever comes next, after a broken link or a killed process, goes on from the byte it had.
"""

import fcntl
import hashlib
import json
import logging
import os
import random
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from io import FileIO
from pathlib import Path, PurePosixPath

from luigi_ilsvrc import sources
from luigi_ilsvrc.progress import Progress, unheard
from luigi_ilsvrc.sources import Credentials, DownloadError, LocalFile, PassingError, Version, WebFile, find_credentials

__all__ = ["ChecksumError", "Credentials", "DownloadError", "download", "find_credentials", "read_checksums"]

LONGEST_WAIT = 300.0
"""Seconds between two attempts at most, whatever a server's Retry-After asks for."""

logger = logging.getLogger(__name__)


class ChecksumError(DownloadError):
    """A file's MD5 sum, or a file of MD5 sums, is not what it should be."""


def read_checksums(path: str | os.PathLike[str]) -> dict[str, str]:
    """Read a file that ``md5sum`` wrote, as text or binary (``*``); blank lines and ``#`` comments are skipped.

    Returns
    -------
    dict of str to str
        File names without their directories, to 32 lower-case hexadecimal digits.

    Raises
    ------
    ChecksumError
        Where the file cannot be read, a line has another form, or one name has two sums.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise ChecksumError(f"{path}: {error.strerror}; name a file of MD5 sums that can be read") from None
    sums: dict[str, str] = {}
    # Not splitlines(), which would also cut at characters that a name may hold.
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.rstrip("\r")
        if not line.strip() or line.startswith("#"):
            continue
        # md5sum itself puts exactly "  " or " *" before the name; other tools put one space or a tab.
        entry = re.fullmatch(r"([0-9a-fA-F]{32})(?: [ *]|[ \t]+\*?)(.+)", line)
        name = PurePosixPath(entry[2]).name if entry else ""
        if entry is None or not name:
            raise ChecksumError(f"{path}, line {number}: expected an MD5 sum and a file name, as md5sum writes them")
        if sums.setdefault(name, entry[1].lower()) != entry[1].lower():
            raise ChecksumError(f"{path}, line {number}: a second, different MD5 sum for {name}; remove one of the two")
    return sums


def download(
    source: str,
    name: str,
    destination: Path,
    *,
    md5: str | None,
    credentials: Credentials | None = None,
    progress: Progress = unheard,
    attempts: int = 8,
    timeout: float = 60,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Bring `name` from `source` to `destination`, unless it is there already; resume where a former call was cut off.

    A file in a local folder is hard-linked where the file system permits it, else copied. Of several processes with
    the same destination one works and the others wait for it.

    Parameters
    ----------
    source : str
        A URL prefix (``http://``, ``https://``; a query string stays at the end), or a local folder, also as
        ``file://``.
    name : str
        The file's name below `source`.
    destination : Path
        Where the file appears, whole and verified or not at all.
    md5 : str or None
        The MD5 sum, 32 hexadecimal digits; None leaves the check out.
    credentials : Credentials, optional
        Sent to the host of `source` only, and only when it asks for them.
    progress : Progress, optional
        Told of ``"downloading"``, ``"copying"`` and ``"checking"``, in bytes, for every piece of up to 256 KiB.
    attempts : int, optional
        How many failures in a row, none of them with a new byte gained, are the end.
    timeout : float, optional
        Seconds to wait for a connection, and for the next bytes of a reply.
    sleep : callable, optional
        Waits between attempts, given seconds.

    Raises
    ------
    DownloadError
        Where the source, the network or the disk does not deliver; what came so far is kept for the next call.
    ChecksumError
        Where all bytes came, but with another MD5 sum; they are removed (a local original never is).
    """
    with _disk_errors(destination), _lock(destination) as partial:
        if partial is None:
            return
        origin = sources.find(source, name, credentials, timeout)
        if isinstance(origin, LocalFile) and _can_link(origin.path, partial.path):
            if md5 is not None:
                _verify_original(origin, md5, progress)
            os.link(origin.path, destination)
            partial.remove()
            return
        if not partial.may_be_part_of(origin.address):
            partial.clear()
        if md5 is not None:
            partial.catch_up(progress)
        _fill(partial, origin, attempts, sleep, progress)
        if md5 is not None:
            partial.verify(md5, origin.address)
        partial.publish(destination)


@contextmanager
def _disk_errors(destination: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DownloadError(
            f"cannot write beside {destination}: {error.strerror or error}; make the directory writable, or choose "
            "another with --data-dir"
        ) from None


def _can_link(original: Path, partial: Path) -> bool:
    """Find out by trying: it takes the same file system, and often the same owner (fs.protected_hardlinks)."""
    probe = partial.with_name(partial.name + ".link")
    probe.unlink(missing_ok=True)
    try:
        os.link(original, probe)
    except OSError:
        return False
    probe.unlink()
    return True


def _verify_original(origin: LocalFile, expected: str, progress: Progress) -> None:
    md5 = hashlib.md5(usedforsecurity=False)
    done = 0
    with origin.open() as reply:
        for piece in reply.pieces:
            md5.update(piece)
            done += len(piece)
            progress("checking", done, reply.version.total)
    if md5.hexdigest() != expected.lower():
        raise ChecksumError(
            f"{_mismatch(origin.address, md5.hexdigest(), expected)} The file is damaged or another one: bring it "
            "afresh, or give its sums with --checksums"
        )


def _mismatch(address: str, found: str, expected: str) -> str:
    return f"{address}: the MD5 sum is {found}, but {expected.lower()} was expected."


def _fill(
    partial: "_Partial",
    origin: WebFile | LocalFile,
    attempts: int,
    sleep: Callable[[float], None],
    progress: Progress,
) -> None:
    """Ask `origin` again and again, until `partial` is whole or `attempts` in a row have gained nothing."""
    failures, furthest = 0, partial.size
    while not partial.is_whole:
        try:
            _take(partial, origin, progress)
        except PassingError as trouble:
            # Against the furthest byte ever reached: to start over and die at the same place again is no progress.
            failures = 1 if partial.size > furthest else failures + 1
            furthest = max(furthest, partial.size)
            if trouble.start_over:
                partial.clear()
            if failures >= attempts:
                raise DownloadError(
                    f"{origin.address}: {trouble}. Gave up after {failures} attempts in a row without a new byte; "
                    f"check --source and the network, and run again. The {partial.size:,} bytes that came are kept"
                ) from None
            wait = _wait(failures, trouble.retry_after)
            logger.warning("%s: %s; attempt %d of %d in %.0f s", origin.address, trouble, failures + 1, attempts, wait)
            sleep(wait)


def _wait(failures: int, retry_after: float | None) -> float:
    """Return seconds to wait: what the source asked for, else twice as long each time, with jitter; never too long."""
    if retry_after is not None:
        return min(retry_after, LONGEST_WAIT)
    return min(2.0**failures, LONGEST_WAIT) * random.uniform(0.5, 1)


def _take(partial: "_Partial", origin: WebFile | LocalFile, progress: Progress) -> None:
    """Ask `origin` once for what `partial` lacks, and append what comes."""
    with origin.open(partial.size, partial.version) as reply:
        version: Version | None = reply.version
        if reply.start == 0:
            partial.clear()
        elif partial.version:
            version = reply.version.joined_with(partial.version)
        if version is None or reply.start != partial.size:
            raise PassingError("the file there is not the one that was begun: starting over", start_over=True)
        partial.make_sure_of_room(version.total)
        partial.note(version)
        for piece in reply.pieces:
            partial.append(piece)
            progress(origin.stage, partial.size, version.total)
    if version.total is None:
        partial.note(replace(version, total=partial.size))
    elif partial.size != version.total:
        reason = f"the reply ended at byte {partial.size:,} of {version.total:,}"
        raise PassingError(reason, start_over=partial.size > version.total)


class _Partial:
    """The locked file beside a destination that holds what came so far, and the record of what it is a part of.

    Where bytes go (`append`), what is known of the whole (`version`) and how far the MD5 has read (`catch_up`) do not
    depend on each other.
    """

    def __init__(self, file: FileIO, path: Path) -> None:
        self.path = path
        self._file = file
        self._record = path.with_name(path.name + ".json")
        self.size = os.fstat(file.fileno()).st_size
        self.version = self._recorded()
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._hashed = 0

    def _recorded(self) -> Version | None:
        try:
            return Version(**json.loads(self._record.read_bytes()))
        except (OSError, ValueError, TypeError):
            return None

    @property
    def is_whole(self) -> bool:
        """Whether no byte is missing."""
        return self.version is not None and self.version.total == self.size

    def may_be_part_of(self, address: str) -> bool:
        """Whether it is worth asking `address` for the rest."""
        known = self.version
        return known is not None and known.address == address and (known.total is None or self.size <= known.total)

    def note(self, version: Version) -> None:
        """Record what the file is a part of."""
        if version != self.version:
            self._record.write_text(json.dumps(asdict(version)))
            self.version = version

    def clear(self) -> None:
        """Start over with no bytes."""
        self._file.truncate(0)
        self.size = self._hashed = 0
        self._md5 = hashlib.md5(usedforsecurity=False)
        self.version = None

    def append(self, piece: bytes | memoryview) -> None:
        """Write `piece` at the end; the MD5 goes along if it has read all before."""
        rest = memoryview(piece)
        while rest:
            try:
                written = os.pwrite(self._file.fileno(), rest, self.size)
            except OSError as error:
                total = self.version.total if self.version else None
                raise DownloadError(self._about_room(f"cannot write {self.path} ({error.strerror})", total)) from None
            if self._hashed == self.size:
                self._md5.update(rest[:written])
                self._hashed += written
            self.size += written
            rest = rest[written:]

    def make_sure_of_room(self, total: int | None) -> None:
        """Raise DownloadError where the rest of `total` bytes cannot fit."""
        if total is not None and total - self.size > shutil.disk_usage(self.path.parent).free:
            raise DownloadError(self._about_room(f"{self.path} will not fit on its disk", total))

    def _about_room(self, trouble: str, total: int | None) -> str:
        needed = "an unknown number of" if total is None else f"{total - self.size:,}"
        free = shutil.disk_usage(self.path.parent).free
        return (
            f"{trouble}: {needed} bytes are still needed, {free:,} are free. Make room and run again; "
            f"the {self.size:,} bytes that came are kept"
        )

    def catch_up(self, progress: Progress) -> None:
        """Let the MD5 read what it has not seen yet."""
        self._file.seek(self._hashed)
        for piece in sources.pieces(self._file):
            self._md5.update(piece)
            self._hashed += len(piece)
            progress("checking", self._hashed, self.size)

    def verify(self, expected: str, address: str) -> None:
        """Raise ChecksumError, and remove the file, where its MD5 sum is another one."""
        found = self._md5.hexdigest()
        if found != expected.lower():
            self.remove()
            raise ChecksumError(
                f"{_mismatch(address, found, expected)} The {self.size:,} bytes that came are removed: run again to "
                "bring them afresh. If it happens twice, the source holds another file: give its sums with --checksums"
            )

    def publish(self, destination: Path) -> None:
        """Give the file its name."""
        os.fsync(self._file.fileno())
        os.replace(self.path, destination)
        self._record.unlink(missing_ok=True)

    def remove(self) -> None:
        """Leave nothing behind."""
        self._record.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)


@contextmanager
def _lock(destination: Path) -> Iterator[_Partial | None]:
    """Own the partial file of `destination`, or get None once `destination` is there."""
    path = destination.with_name(destination.name + ".partial")
    while not destination.exists():
        with FileIO(path, "r+", opener=_open_or_create) as file:
            _wait_for_lock(file, path)
            if not _is_ours(file, path):
                continue
            partial = _Partial(file, path)
            if destination.exists():
                partial.remove()
                continue
            try:
                yield partial
            finally:
                if partial.size == 0:
                    partial.remove()
            return
    yield None


def _open_or_create(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW, 0o666)


def _wait_for_lock(file: FileIO, path: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        logger.warning("another process is writing %s: waiting for it", path)
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError as error:
        # Lustre without -o flock, some FUSE file systems: a build by one process is still fine there.
        logger.warning("cannot lock %s (%s): make sure that no other process builds here", path, error.strerror)


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
