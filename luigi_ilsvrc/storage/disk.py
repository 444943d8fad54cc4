"""Free space, permission to write, and errors of the operating system with advice."""

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
    """A disk has too little free space, may not be written, or fails."""


def nearest_folder(path: Path) -> Path:
    """Return the folder at or above `path` that exists: what is made at `path` will lie on its disk."""
    while not os.path.isdir(path) and path != path.parent:
        path = path.parent
    return path


def free_bytes(path: Path) -> int | None:
    """Return the free bytes of the disk that `path` lies, or will lie, on; None if the file system does not know."""
    usage = shutil.disk_usage(nearest_folder(path))
    # Such a file system gives 0 for everything.
    return usage.free if usage.total else None


def check_free_space(needs: Mapping[Path, int], advice: str = "free some space and run the build again") -> None:
    """Check that the disks have room, before anything is written.

    Parameters
    ----------
    needs : mapping of Path to int
        Where something is to be written, and how many bytes it will take at least. What lies on one disk is added up.
    advice : str
        What the error tells a person to do.

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
        free = free_bytes(folder)
        if free is not None and needed > free:
            raise DiskError(f"{folder}: {needed:,} bytes are needed on its disk, {free:,} are free; {advice}")


def check_writable(path: Path) -> None:
    """Raise `DiskError` if `path` is not, or cannot become, a folder to write in; leaves nothing behind."""
    folder = nearest_folder(path)
    try:
        if os.path.lexists(path) and folder != path:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise explain_os_error(OSError(error.errno, error.strerror, str(path)), folder) from None


def explain_os_error(error: OSError, path: Path) -> DiskError:
    """Turn an OSError into a DiskError with advice; call it when the unfinished part of `path` is removed."""
    where, reason = error.filename or path, error.strerror or error
    if error.errno in _FULL:
        free = free_bytes(path)
        return DiskError(
            f"{where}: {reason}. The unfinished {path.name} is removed"
            + ("" if free is None else f", which leaves {free:,} bytes free")
            + ": free some space (or raise the quota) and run the build again"
        )
    if error.errno in _FORBIDDEN:
        return DiskError(f"{where}: {reason}; make it writable, or choose another folder with --data-dir")
    return DiskError(f"{where}: {reason}; fix this and run the build again")
