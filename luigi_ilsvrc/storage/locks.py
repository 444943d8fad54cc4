"""Locks that save double work: of two processes that would make the same output, one waits for the other.

Nothing depends on them: on some network and FUSE file systems they fail, or are given to everybody. What is published,
and whether it is right, is decided in `publish`.
"""

import fcntl
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

logger = logging.getLogger(__name__)


@contextmanager
def locked(path: Path, open_path: Callable[[Path], int], what: Path | None = None) -> Iterator[int]:
    """Hold an exclusive lock (flock(2)) on the regular file at `path`; yield its descriptor.

    If another process holds the lock, that is logged once and waited for. If the file system has no locks, that is
    logged, and the block runs without one. The lock ends with the block, or with the process.

    Parameters
    ----------
    path : Path
        What is locked.
    open_path : callable
        Opens `path`, and makes it if it is missing; returns a descriptor. Called again if what was locked is no longer
        at `path`, because its former owner has renamed or removed it.
    what : Path, optional
        What the lock is about, for the log; by default `path`.
    """
    while True:
        descriptor = open_path(path)
        try:
            _wait_for_lock(descriptor, what or path)
            if _is_at(descriptor, path):
                yield descriptor
                return
        finally:
            os.close(descriptor)


@contextmanager
def output_lock(lock: Path, output: Path) -> Iterator[None]:
    """Hold a lock while `output` is made; `lock` is the path of a file for that alone, which is removed afterwards.

    Raises
    ------
    OSError
        If the file cannot be made.
    """
    if not lock.parent.is_dir():
        lock.parent.mkdir(parents=True, exist_ok=True)
    with locked(lock, _open_lock, output):
        try:
            yield
        finally:
            # Whoever waits for it finds that it is gone, and makes a new one.
            with suppress(OSError):
                lock.unlink()


def _open_lock(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)


@contextmanager
def locked_if_free(path: Path) -> Iterator[bool]:
    """Lock an existing file without waiting; yield False if another process has it, or it is gone.

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


def _wait_for_lock(descriptor: int, what: Path) -> None:
    try:
        if not _try_lock(descriptor):
            logger.warning("another process is writing %s: waiting for it", what)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
    except OSError as error:
        # Lustre without -o flock, some NFS and FUSE file systems: then two processes may do the same work.
        logger.info("cannot lock %s (%s): another process may do the same work", what, error.strerror)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    """Tell whether an open file is still the one at `path`."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False
    except OSError:
        # The file system does not say (ESTALE): the lock may be useless, and nothing depends on it.
        return True
