"""An open file, and whether it is still the one of its name."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from luigi_ilsvrc.storage.publish import create_file
from luigi_ilsvrc.storage.temporary import temporary_path


class PartialFileLostError(Exception):
    """Another process has removed, replaced or published the partial file."""


class NamedFile:
    """An open file that other processes may replace.

    Attributes
    ----------
    path : Path
        Its name.
    """

    def __init__(self, descriptor: int, path: Path) -> None:
        self.path = path
        self._descriptor = descriptor
        self._identity = self._identify()

    def _identify(self) -> tuple[int, int]:
        status = os.fstat(self._descriptor)
        return status.st_dev, status.st_ino

    def is_lost(self) -> bool:
        """Tell whether the file is not the one of its name any more."""
        try:
            status = self.path.stat(follow_symlinks=False)
        except FileNotFoundError:
            return True
        return (status.st_dev, status.st_ino) != self._identity

    def check_not_lost(self) -> None:
        """Raise `PartialFileLostError` if the file is not the one of its name any more."""
        if self.is_lost():
            raise PartialFileLostError

    def replace(self) -> None:
        """Put an empty file in its place. The descriptor is then that of the new one, which is locked too.

        Not emptied: if locks do not work, another process may be publishing it.
        """
        temporary = temporary_path(self.path)
        descriptor = create_file(temporary)
        try:
            # Nobody else knows it yet. If locks do not work, this one does not either.
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.rename(temporary, self.path)
            # This closes the former file, and frees its space.
            os.dup2(descriptor, self._descriptor, inheritable=False)
        finally:
            os.close(descriptor)
            temporary.unlink(missing_ok=True)
        self._identity = self._identify()
