"""A URL or a folder -> one verified file.

Bytes flow one way: `_take` asks the source (see `sources`) for what is missing and appends it to the partial file
beside the destination (see `partial_file`), or lets several connections fill that (see `connections`); `_fill` repeats
it until nothing is missing, and once the MD5 is right the partial file gets the destination's name. It is locked all
the while, and its record says what it is a part of, so that whoever comes next, after a broken link or a killed
process, goes on with the bytes it had.
"""

import hashlib
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath

from luigi_ilsvrc import sources
from luigi_ilsvrc.connections import LONGEST_WAIT, count_worth, fill, pause
from luigi_ilsvrc.partial_file import PartialFile, locked
from luigi_ilsvrc.progress import Progress, unheard
from luigi_ilsvrc.sources import (
    Credentials,
    DownloadError,
    LocalFile,
    PassingError,
    Reply,
    Version,
    WebFile,
    find_credentials,
)

__all__ = [
    "LONGEST_WAIT",
    "ChecksumError",
    "Credentials",
    "DownloadError",
    "download",
    "find_credentials",
    "read_checksums",
]

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
    connections: int = 4,
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
        Told of ``"downloading"``, ``"copying"`` and ``"checking"``, in bytes, for about every MiB; called from the
        caller's thread alone.
    connections : int, optional
        How many connections to a server may fetch at once, 1 or more. A server that does not send ranges, or not the
        file's length, gets one, and so does a small remainder.
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
    with _disk_errors(destination), locked(destination) as partial:
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
        while md5 is not None and partial.hash_next():
            progress("checking", partial.hashed, partial.size)
        _fill(partial, origin, connections, attempts, sleep, hashing=md5 is not None, progress=progress)
        if md5 is not None:
            _verify(partial, md5, origin.address)
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


def _verify(partial: PartialFile, expected: str, address: str) -> None:
    found = partial.hexdigest()
    if found != expected.lower():
        partial.remove()
        raise ChecksumError(
            f"{_mismatch(address, found, expected)} The {partial.size:,} bytes that came are removed: run again to "
            "bring them afresh. If it happens twice, the source holds another file: give its sums with --checksums"
        )


def _mismatch(address: str, found: str, expected: str) -> str:
    return f"{address}: the MD5 sum is {found}, but {expected.lower()} was expected."


def _fill(
    partial: PartialFile,
    origin: WebFile | LocalFile,
    connections: int,
    attempts: int,
    sleep: Callable[[float], None],
    *,
    hashing: bool,
    progress: Progress,
) -> None:
    """Ask `origin` again and again, until `partial` is whole or `attempts` in a row have gained nothing."""
    failures, furthest = 0, partial.kept
    while not partial.is_whole:
        try:
            _take(partial, origin, connections, hashing=hashing, progress=progress)
        except PassingError as trouble:
            # Against the most bytes ever held: to start over and die at the same place again is no progress.
            failures = 1 if partial.kept > furthest else failures + 1
            furthest = max(furthest, partial.kept)
            if trouble.start_over:
                partial.clear()
            if failures >= attempts:
                raise DownloadError(
                    f"{origin.address}: {trouble}. Gave up after {failures} attempts in a row without a new byte; "
                    f"check --source and the network, and run again. The {partial.kept:,} bytes that came are kept"
                ) from None
            wait = pause(failures, trouble.retry_after)
            logger.warning("%s: %s; attempt %d of %d in %.0f s", origin.address, trouble, failures + 1, attempts, wait)
            sleep(wait)


def _take(
    partial: PartialFile, origin: WebFile | LocalFile, connections: int, *, hashing: bool, progress: Progress
) -> None:
    """Ask `origin` for what `partial` lacks, with more connections if the first reply shows that they are possible."""
    with origin.open(partial.size, partial.version, partial.first_gap_end) as reply:
        version = reply.version.joined_with(partial.version) if partial.version else reply.version
        # Some servers announce ranges and yet send the whole file, the same, when they are asked for one.
        has_ranges = reply.has_ranges and (version is None or reply.start == partial.size)
        if reply.start == 0 and (version is None or partial.size or not partial.kept):
            partial.clear()
            version = reply.version
        elif version is None or reply.start != partial.size:
            raise PassingError("the file there is not the one that was begun: starting over", start_over=True)
        partial.make_sure_of_room(version.total)
        partial.note(version)
        if has_ranges and version.total is not None and isinstance(origin, WebFile):
            count = count_worth(connections, version.total - partial.kept)
            if count > 1 or partial.first_gap_end is not None:
                fill(partial, origin, reply, count, hashing=hashing, progress=progress)
                return
        _take_all(partial, reply, version, origin.stage, hashing=hashing, progress=progress)


def _take_all(
    partial: PartialFile, reply: Reply, version: Version, stage: str, *, hashing: bool, progress: Progress
) -> None:
    """Append what comes, whatever the length and whether the source knows of ranges or not."""
    partial.keep_no_list()
    # Behind what several connections have brought before.
    while hashing and partial.hash_next():
        pass
    for piece in reply.pieces:
        partial.append(piece, hashing=hashing)
        progress(stage, partial.size, version.total)
    if version.total is None:
        partial.note(replace(version, total=partial.size))
    elif partial.size != version.total:
        reason = f"the reply ended at byte {partial.size:,} of {version.total:,}"
        raise PassingError(reason, start_over=partial.size > version.total)
