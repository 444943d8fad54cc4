"""One writer at a time, also among processes that know nothing of each other."""

import fcntl
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

logger = logging.getLogger(__name__)


@contextmanager
def locked(path: Path, open_path: Callable[[Path], int]) -> Iterator[int]:
    """Hold an exclusive lock (flock(2)) on the file or folder at `path`; yield its descriptor.

    If another process holds the lock, that is logged once and waited for. The lock ends with the block, or with the
    process.

    Parameters
    ----------
    path : Path
        What is locked.
    open_path : callable
        Opens `path`, and makes it if it is missing; returns a descriptor. Called again if what was locked is no longer
        at `path`, because its former owner has renamed or removed it.
    """
    while True:
        descriptor = open_path(path)
        try:
            _wait_for_lock(descriptor, path)
            if _is_at(descriptor, path):
                yield descriptor
                return
        finally:
            os.close(descriptor)


@contextmanager
def locked_if_free(path: Path) -> Iterator[bool]:
    """Lock an existing file or folder without waiting; yield False if another process has it, or it is gone.

    Raises
    ------
    OSError
        If `path` cannot be opened or locked at all. A symbolic link is not followed.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except FileNotFoundError:
        yield False
        return
    try:
        yield _try_lock(descriptor) and _is_at(descriptor, path)
    finally:
        os.close(descriptor)


def _wait_for_lock(descriptor: int, path: Path) -> None:
    try:
        if not _try_lock(descriptor):
            logger.warning("another process is writing %s: waiting for it", path)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        # Lustre without -o flock, some FUSE file systems: a build by one process still works there.
        logger.warning("cannot lock %s (%s): make sure that no other process builds here", path, error.strerror)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    """Tell whether an open file or folder is still the one at `path`."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False
