"""What a disk has room for, and what it refuses, in words that a person can act on."""

import errno
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from luigi_ilsvrc.errors import BuildError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR)


class DiskError(BuildError):
    """A disk has not the room, is not to be written, or fails."""


def nearest_folder(path: Path) -> Path:
    """Return the folder at or above `path` that exists: what is made at `path` will lie on its disk."""
    while not os.path.isdir(path) and path != path.parent:
        path = path.parent
    return path


def make_sure_of_room(needs: Mapping[Path, int], advice: str = "make room and run the build again") -> None:
    """Ask the disks for room, before anything is written.

    Parameters
    ----------
    needs : mapping of Path to int
        Where something is to be written, and how many bytes it will take at least. What lies on one disk is added up.
    advice : str
        What a person is told to do.

    Raises
    ------
    DiskError
        With the bytes that are needed and those that are free.
    """
    disks: dict[int, tuple[Path, int]] = {}
    for path, size in needs.items():
        folder = nearest_folder(path)
        first, sum_before = disks.get(folder.stat().st_dev, (folder, 0))
        disks[folder.stat().st_dev] = first, sum_before + size
    for folder, needed in disks.values():
        disk = shutil.disk_usage(folder)
        # Some file systems give 0 for everything, because they do not know.
        if needed > disk.free and disk.total:
            raise DiskError(
                f"{folder}: {needed:,} bytes are needed on its disk, {disk.free:,} are free there; {advice}"
            )


def make_sure_of_writing(path: Path) -> None:
    """Raise `DiskError` where `path` is not, or cannot become, a folder to write in; leaves nothing behind."""
    folder = nearest_folder(path)
    try:
        if os.path.lexists(path) and folder != path:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise refusal(OSError(error.errno, error.strerror, str(path)), folder) from None


def refusal(error: OSError, path: Path) -> DiskError:
    """Word what the operating system refused while `path` was made; call it when its unfinished part is removed."""
    where, reason = error.filename or path, error.strerror or error
    if error.errno in _FULL:
        free = shutil.disk_usage(nearest_folder(path)).free
        return DiskError(
            f"{where}: {reason}. What was written of {path.name} is removed again, which leaves {free:,} bytes free: "
            "make room (or raise the quota) and run the build again"
        )
    if error.errno in _FORBIDDEN:
        return DiskError(f"{where}: {reason}; make it writable, or choose another folder with --data-dir")
    return DiskError(f"{where}: {reason}; mend that and run the build again")
