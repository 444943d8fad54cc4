"""Opening the partial file of a destination: one process at a time, if the file system has locks that work."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from luigi_ilsvrc.download.exclusive import has_exclusive_lock
from luigi_ilsvrc.download.partial_file import PartialFile
from luigi_ilsvrc.download.partial_record import companions_of
from luigi_ilsvrc.download.source import DownloadError
from luigi_ilsvrc.storage.locks import locked
from luigi_ilsvrc.storage.temporary import partial_path


@contextmanager
def open_partial(destination: Path, *, hashing: bool) -> Iterator[PartialFile | None]:
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
    DownloadError
        If `destination` is a symbolic link to nothing.
    """
    path = partial_path(destination)
    if _exists(destination):
        _remove_second_name(path, destination)
        yield None
        return
    with locked(path, _open_path) as descriptor:
        partial = PartialFile(descriptor, path, hashing=hashing, is_exclusive=has_exclusive_lock(descriptor, path))
        if _exists(destination):
            partial.remove()
            yield None
            return
        try:
            yield partial
        finally:
            partial.discard_copy()
            if partial.bytes_held == 0:
                partial.remove()


def _exists(destination: Path) -> bool:
    if destination.exists():
        return True
    if destination.is_symlink():
        raise DownloadError(f"{destination} is a symbolic link to a file that does not exist; remove it")
    return False


def _remove_second_name(path: Path, destination: Path) -> None:
    """Remove the partial file if it is the destination: a process was killed while it published it."""
    try:
        if os.path.samestat(path.lstat(), destination.stat()):
            for companion in (path, *companions_of(path)):
                companion.unlink(missing_ok=True)
    except OSError:
        # There is none, or it belongs to somebody else: it does no harm.
        return


def _open_path(path: Path) -> int:
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENXIO):
                raise
        else:
            status = os.fstat(descriptor)
            if stat.S_ISREG(status.st_mode) and status.st_nlink <= 1:
                return descriptor
            os.close(descriptor)
        # A link to another file, which is not to be written, or a pipe. Only this name of it is removed.
        path.unlink(missing_ok=True)
