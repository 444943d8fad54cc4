"""A URL or a folder → one verified file.

`_receive` asks the source for the missing bytes and appends them to the partial file beside the destination (see
`partial_file`), or has several connections fill it (see `segments`). `_fetch` repeats that until nothing is missing.
When the MD5 sum is right, the partial file gets the destination's name. It is locked until then, and its record says
what it is a part of, so that the next call, after a broken connection or a killed process, continues with the bytes
that are there.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from luigi_ilsvrc.download.checksums import ChecksumError
from luigi_ilsvrc.download.cookies import Cookies
from luigi_ilsvrc.download.credentials import Credentials
from luigi_ilsvrc.download.disk_errors import write_error
from luigi_ilsvrc.download.linking import link_verified, mismatch
from luigi_ilsvrc.download.local import find_local_file
from luigi_ilsvrc.download.named_file import PartialFileLostError
from luigi_ilsvrc.download.partial_file import PartialFile
from luigi_ilsvrc.download.partial_lock import open_partial
from luigi_ilsvrc.download.segments import fill, useful_connections
from luigi_ilsvrc.download.source import DownloadError, HttpOptions, Reply, Source, TransientError
from luigi_ilsvrc.download.transfer import FILE_CHANGED, Transfer, backoff_delay
from luigi_ilsvrc.progress import BYTES, Progress, no_progress
from luigi_ilsvrc.storage.digests import MD5Of, md5_of_file

_MAX_LOST = 20

logger = logging.getLogger(__name__)


class _Retries(NamedTuple):
    attempts: int
    sleep: Callable[[float], None]


def download(
    source: str,
    name: str,
    destination: Path,
    *,
    md5: str | None,
    credentials: Credentials | None = None,
    cookies: Cookies | None = None,
    progress: Progress = no_progress,
    connections: int = 4,
    attempts: int = 8,
    timeout: float = 60,
    min_rate: float = 1000,
    sleep: Callable[[float], None] = time.sleep,
    md5_of: MD5Of = md5_of_file,
) -> None:
    """Download `name` from `source` to `destination`, unless it exists; resume what an earlier call has begun.

    To a file in a local folder, a link is made: a hard link if the file system permits it, else a symbolic one. Of
    several processes with the same destination one works and the others wait for it.

    Parameters
    ----------
    source : str
        A URL prefix (``http://``, ``https://``; a query string stays at the end), or a local folder, also as
        ``file://``.
    name : str
        The file's name below `source`.
    destination : Path
        Where the file appears, complete and verified or not at all. Its folder must exist.
    md5 : str or None
        The MD5 sum, 32 hexadecimal digits; None skips the check.
    credentials : Credentials, optional
        Sent to the host of `source` only, and only when it asks for them.
    cookies : Cookies, optional
        Each is sent to the hosts, paths and schemes that it is for, also after a redirect; see `read_cookies`.
    progress : Progress, optional
        Called with the stages ``"downloading"`` and ``"checking"``, in bytes, about every MiB; from the
        caller's thread only.
    connections : int, optional
        How many connections to a server may be used at once, 1 or more. If a server does not send ranges or the file's
        length, or little is missing, one is used.
    attempts : int, optional
        Give up after this many failures in a row, none of them with a new byte received.
    timeout : float, optional
        Seconds to wait for a connection, and for the next bytes of a reply.
    min_rate : float, optional
        Bytes a second. If a server sends less for a minute, the attempt has failed; it has brought no progress if it
        has brought less than this in a minute. 0 for any rate.
    sleep : callable, optional
        Waits between attempts, given seconds.
    md5_of : callable, optional
        Reads a file that is to be linked, for its MD5 sum.

    Raises
    ------
    DownloadError
        If the source, the network or the disk fails; what was received so far is kept for the next call.
    ChecksumError
        If all bytes were received, but their MD5 sum is another one; they are removed (a local original never is).

    Examples
    --------
    >>> download("https://example.org/2012", "images.tar", Path("images.tar"), md5=None)  # doctest: +SKIP
    """
    options = HttpOptions(timeout, min_rate, has_checksum=md5 is not None, cookies=cookies or Cookies())
    original = find_local_file(source, name)
    for _ in range(_MAX_LOST):
        try:
            with _disk_errors(destination), open_partial(destination, hashing=md5 is not None) as partial:
                if partial is None:
                    return
                if original is not None:
                    link_verified(original, destination, md5, progress, md5_of)
                    partial.remove()
                    return
                transfer = Transfer(open_server(source, name, credentials, options), partial, connections, progress)
                _download(transfer, destination, md5, _Retries(attempts, sleep))
            return
        except PartialFileLostError:
            # Locks do not work here; the other process may have published the file by now.
            logger.warning("%s: another process downloads it too, and has replaced what was received", destination)
    raise DownloadError(
        f"{destination}: other processes have replaced what was received {_MAX_LOST} times; run again when they have "
        "ended"
    )


def open_server(source: str, name: str, credentials: Credentials | None, options: HttpOptions) -> Source:
    """Return the file `name` of a web server; nothing is requested yet.

    Raises
    ------
    DownloadError
        If `source` is not a valid URL, or contains a user name.
    """
    # Here, because only a web server needs requests.
    from luigi_ilsvrc.download.http import HttpFile

    try:
        return HttpFile(source, name, credentials, options)
    except ValueError:
        raise DownloadError(f"{name}: the source is not a valid URL; check --source") from None


@contextmanager
def _disk_errors(destination: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise write_error(error, destination) from None


def _download(transfer: Transfer, destination: Path, md5: str | None, retries: _Retries) -> None:
    """Download the file, verify it and publish it."""
    _fetch(transfer, retries)
    if md5 is not None:
        _verify(transfer, md5, retries)
    transfer.partial.publish(destination, transfer.progress)


def _verify(transfer: Transfer, expected: str, retries: _Retries) -> None:
    """Compare the MD5 sum; if earlier bytes may be to blame, download all of them once more."""
    partial, address = transfer.partial, transfer.origin.address
    found = partial.hexdigest(transfer.progress)
    if found != expected.lower() and (partial.has_earlier_bytes or not partial.is_exclusive):
        logger.warning(
            "%s Some of the bytes are of an earlier run, or another process may have written them: starting over",
            mismatch(address, found, expected),
        )
        partial.clear()
        _fetch(transfer, retries)
        found = partial.hexdigest(transfer.progress)
    if found != expected.lower():
        partial.remove()
        raise ChecksumError(
            f"{mismatch(address, found, expected)} The {partial.size:,} bytes received are removed: run again to "
            "download them again. If this happens twice, the source has another file: give its MD5 sum with --checksums"
        )


def _fetch(transfer: Transfer, retries: _Retries) -> None:
    """Ask the source again and again, until the file is complete or `attempts` in a row have brought no new byte."""
    partial = transfer.partial
    _hash_earlier_bytes(transfer)
    failures, most_held = 0, partial.bytes_held
    while not partial.is_complete:
        try:
            _receive(transfer)
        except TransientError as error:
            # Compared with the most bytes ever held: to start over and fail at the same offset again is no progress.
            failures = 1 if partial.bytes_held >= most_held + error.min_gain else failures + 1
            most_held = max(most_held, partial.bytes_held)
            if error.start_over:
                partial.clear()
            address = transfer.origin.address
            if failures >= retries.attempts:
                gain = "a new byte" if error.min_gain == 1 else f"{error.min_gain:,} new bytes"
                raise DownloadError(
                    f"{address}: {error}. Gave up after {failures} attempts in a row without {gain}; check "
                    f"--source and the network, and run again. The {partial.bytes_held:,} bytes received so far are "
                    "kept"
                ) from None
            delay = backoff_delay(failures, error.retry_after)
            logger.warning("%s: %s; attempt %d of %d in %.0f s", address, error, failures + 1, retries.attempts, delay)
            retries.sleep(delay)


def _hash_earlier_bytes(transfer: Transfer) -> None:
    """Hash what an earlier call has received; remove it if it is of another source."""
    partial = transfer.partial
    if not partial.can_continue_from(transfer.origin.address):
        partial.clear()
    while partial.hash_next():
        transfer.progress("checking", partial.bytes_hashed, partial.size, BYTES)


def _receive(transfer: Transfer) -> None:
    """Ask for what is missing, with more connections if the first reply shows that the source permits them."""
    partial = transfer.partial
    with transfer.origin.open(partial.size, partial.version, partial.first_gap_end) as reply:
        is_as_requested = _prepare(partial, reply)
        total = partial.version.total if partial.version else None
        if reply.parallel is not None and is_as_requested and total is not None:
            connections = useful_connections(transfer.connections, total - partial.bytes_held)
            if connections > 1 or partial.first_gap_end is not None:
                fill(transfer, reply.parallel, reply, connections)
                return
        _append(transfer, reply)


def _prepare(partial: PartialFile, reply: Reply) -> bool:
    """Prepare `partial` for the bytes of `reply`; return False if the source has ignored the requested range.

    Some servers announce ranges and yet send the whole file when asked for a part of the same version.
    """
    version = reply.version.merge(partial.version) if partial.version else reply.version
    has_ignored_range = version is not None and reply.start != partial.size
    if reply.start == 0 and (version is None or partial.size or not partial.bytes_held):
        partial.clear()
        version = reply.version
    elif version is None:
        raise TransientError(FILE_CHANGED, start_over=True)
    elif reply.start != partial.size:
        reason = f"the reply begins at byte {reply.start:,} instead of {partial.size:,}: starting over"
        raise TransientError(reason, start_over=True)
    partial.check_free_space(version.total)
    partial.set_version(version)
    return not has_ignored_range


def _append(transfer: Transfer, reply: Reply) -> None:
    """Append what one connection receives, with or without a known length."""
    partial = transfer.partial
    partial.drop_ranges()
    # What several connections have received before.
    while partial.hash_next():
        pass
    try:
        for chunk in reply.chunks:
            partial.append(chunk)
            transfer.report()
    finally:
        partial.save_record()
    version = partial.version
    assert version is not None
    if version.total is None:
        partial.set_version(replace(version, total=partial.size))
    elif partial.size != version.total:
        reason = f"the reply ended at byte {partial.size:,} of {version.total:,}"
        raise TransientError(reason, start_over=partial.size > version.total)
