"""A copy of a partial file that no other process has open.

Where locks do not work, another process may go on writing a partial file, also after it was published: on a network
file system it may not see yet that the file has another name. So what is verified and published there is a copy.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from luigi_ilsvrc.download.file_hash import FileHash
from luigi_ilsvrc.download.named_file import PartialFileLostError
from luigi_ilsvrc.storage.publish import create_file, write_all
from luigi_ilsvrc.storage.temporary import temporary_path


class PrivateCopy(NamedTuple):
    """A copy under a temporary name, on the disk.

    Attributes
    ----------
    path : Path
        Its name, which no other process uses.
    size : int
        Its bytes.
    md5 : str
        The MD5 sum of these bytes, 32 lower-case hexadecimal digits.
    """

    path: Path
    size: int
    md5: str


def copy_privately(path: Path, size: int, report: Callable[[int], None]) -> PrivateCopy:
    """Copy the first `size` bytes of `path` beside it; `report` gets the bytes that were copied.

    Raises
    ------
    PartialFileLostError
        If there is no such file any more.
    DownloadError
        If it cannot be read.
    OSError
        If the copy cannot be written; nothing is left of it.
    """
    copy = temporary_path(path)
    try:
        # Opened again, so that NFS asks the server for what other hosts have written.
        original = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        raise PartialFileLostError from None
    try:
        return _write_copy(FileHash(original, path), copy, size, report)
    except BaseException:
        copy.unlink(missing_ok=True)
        raise
    finally:
        os.close(original)


def _write_copy(original: FileHash, copy: Path, size: int, report: Callable[[int], None]) -> PrivateCopy:
    descriptor = create_file(copy)
    try:
        for chunk in original.read_until(size):
            write_all(descriptor, chunk)
            report(original.position)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return PrivateCopy(copy, original.position, original.hexdigest())
