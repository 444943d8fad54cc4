"""A file of a local folder → a link to it, verified."""

import os
from pathlib import Path
from typing import NamedTuple

from luigi_ilsvrc.download.checksums import ChecksumError
from luigi_ilsvrc.download.disk_errors import read_error
from luigi_ilsvrc.download.source import DownloadError
from luigi_ilsvrc.progress import Progress
from luigi_ilsvrc.storage.digests import MD5Of
from luigi_ilsvrc.storage.publish import new_link, publish_file, sync_file
from luigi_ilsvrc.storage.temporary import partial_path, temporary_path


class _FileState(NamedTuple):
    """What changes if a file is written or replaced."""

    device: int
    inode: int
    size: int
    modified: int


def can_link(original: Path, destination: Path) -> bool:
    """Try whether `original` can be hard-linked beside `destination`, and the link be known for the same file.

    It must be on the same file system, and often of the same owner (fs.protected_hardlinks). Some FUSE file systems
    give each link a number of its own.
    """
    probe = temporary_path(partial_path(destination))
    try:
        os.link(original, probe, follow_symlinks=False)
    except OSError:
        return False
    try:
        return os.path.samestat(original.stat(), probe.stat())
    finally:
        probe.unlink()


def link_verified(original: Path, destination: Path, md5: str | None, progress: Progress, md5_of: MD5Of) -> None:
    """Verify `original` and link `destination` to it, unless there is something of this name.

    By a hard link if that can be made, else by a symbolic link: nothing is copied.

    Raises
    ------
    ChecksumError
        If `original` has another MD5 sum than `md5`.
    DownloadError
        If it cannot be read, or has changed meanwhile.
    """
    before = _state_of_original(original)
    if md5 is not None:
        _verify(original, md5, progress, md5_of)
    if not can_link(original, destination):
        _check_unchanged(original, _state_of_original(original), before)
        new_link(destination, str(original))
        return
    link = temporary_path(partial_path(destination))
    os.link(original, link, follow_symlinks=False)
    try:
        _check_unchanged(original, _state_of(link), before)
        sync_file(link)
        publish_file(link, destination)
    finally:
        link.unlink(missing_ok=True)


def _check_unchanged(original: Path, present: _FileState, before: _FileState) -> None:
    if present != before:
        raise DownloadError(f"{original} has changed while it was read: run again when nobody writes it")


def mismatch(address: str, found: str, expected: str) -> str:
    """Return the sentence that says that a file has another MD5 sum."""
    return f"{address}: the MD5 sum is {found}, but {expected.lower()} was expected."


def _state_of(path: Path) -> _FileState:
    status = path.stat(follow_symlinks=False)
    return _FileState(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


def _state_of_original(original: Path) -> _FileState:
    try:
        return _state_of(original)
    except OSError as error:
        raise read_error(error, original, "give another --source") from None


def _verify(original: Path, expected: str, progress: Progress, md5_of: MD5Of) -> None:
    try:
        found = md5_of(original, progress)
    except OSError as error:
        raise read_error(error, original, "make it readable, or give another --source") from None
    if found != expected.lower():
        raise ChecksumError(
            f"{mismatch(str(original), found, expected)} The file is damaged, or it is another one: download it "
            "again, or give its MD5 sum with --checksums"
        )
