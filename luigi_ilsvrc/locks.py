"""One writer at a time, also among processes that know nothing of each other."""

import fcntl
import logging
from pathlib import Path
from typing import Protocol

logger = logging.getLogger(__name__)


class _HasDescriptor(Protocol):
    def fileno(self) -> int: ...


def wait_for_lock(file: "int | _HasDescriptor", path: Path) -> None:
    """Lock an open file or folder (flock(2)), named `path`; the lock goes when it is closed, or its process dies.

    Where another process holds it, that is logged once and waited for. Whoever gets it must then look whether the file
    is still the one at `path`.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        logger.warning("another process is writing %s: waiting for it", path)
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError as error:
        # Lustre without -o flock, some FUSE file systems: a build by one process is still fine there.
        logger.warning("cannot lock %s (%s): make sure that no other process builds here", path, error.strerror)
