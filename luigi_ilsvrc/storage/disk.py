"""Free space, permission to write, and errors of the operating system with advice."""

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from luigi_ilsvrc.errors import BuildError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_ADVICE = {
    **dict.fromkeys(
        (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR),
        "make it writable, or choose another folder with --data-dir",
    ),
    **dict.fromkeys(
        (errno.EIO, errno.EREMOTEIO, errno.ENXIO, errno.ENODEV),
        "the disk or network file system that holds this file fails: see the system log (dmesg), check the disk, and "
        "run the build again",
    ),
    **dict.fromkeys(
        (errno.ESTALE, errno.ETIMEDOUT, errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH),
        "the network file system that holds this file does not answer, or was mounted anew: check the mount, and run "
        "the build again",
    ),
    **dict.fromkeys(
        (errno.EMFILE, errno.ENFILE),
        "too many files are open: raise the limit (ulimit -n, or fs.file-max), or use fewer --workers",
    ),
    errno.ENAMETOOLONG: "choose a shorter path with --data-dir",
    errno.EFBIG: "the file system or a limit (ulimit -f) does not allow files of this size: choose another folder with "
    "--data-dir, or raise the limit",
    errno.EMLINK: "the file system allows no more entries here: choose another folder with --data-dir",
    errno.ENOENT: "it was removed while the build ran; run the build again",
}
_OTHER_ADVICE = "fix this and run the build again"

# What a disk without inodes has when the unfinished output, a file or a folder of up to 1,300 images, is removed.
_FEW_INODES = 2000
_BYTES_PER_INODE = 1 << 16


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


def free_inodes(path: Path) -> int | None:
    """Return how many files and folders can still be made on the disk of `path`; None if it does not count them."""
    status = os.statvfs(nearest_folder(path))
    # Btrfs and some network file systems have no fixed number, and give 0.
    return status.f_favail if status.f_files > 0 else None


def check_free_space(
    needs: Mapping[Path, int],
    advice: str = "free some space and run the build again",
    inodes: Mapping[Path, int] | None = None,
) -> None:
    """Check that the disks have space, before anything is written.

    Parameters
    ----------
    needs : mapping of Path to int
        Where something is to be written, and how many bytes it will take at least. What lies on one disk is added up.
    advice : str
        What the error tells a person to do.
    inodes : mapping of Path to int, optional
        Where files and folders are to be made, and how many; added up as the bytes are.

    Raises
    ------
    DiskError
        With what is needed and what is free.
    """
    for what, needed_by_path, free_on in (("bytes", needs, free_bytes), ("inodes", inodes or {}, free_inodes)):
        for folder, needed, free in _needed_and_free(needed_by_path, free_on):
            if needed > free:
                raise DiskError(f"{folder}: {needed:,} {what} are needed on its disk, {free:,} are free; {advice}")


def _needed_and_free(
    needs: Mapping[Path, int], free_on: Callable[[Path], int | None]
) -> Iterator[tuple[Path, int, int]]:
    """Yield for each disk a folder on it, what is needed, and what is free, if the disk knows."""
    disks: dict[int, tuple[Path, int]] = {}
    for path, size in needs.items():
        folder = nearest_folder(path)
        first, sum_before = disks.get(folder.stat().st_dev, (folder, 0))
        disks[folder.stat().st_dev] = first, sum_before + size
    for folder, needed in disks.values():
        free = free_on(folder)
        if free is not None:
            yield folder, needed, free


@contextmanager
def reading(path: Path | str) -> Iterator[None]:
    """Name `path` in an OSError of the block that names no file: one from an open file does not."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


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
    """Turn an OSError into a DiskError with advice; call it when the unfinished part of `path` is removed.

    The error names the file that the operating system named, which may be one that was read, or else `path`.
    """
    where, reason = error.filename or path, error.strerror or error
    if error.errno in _FULL:
        return DiskError(f"{where}: {reason}. The unfinished {path.name} is removed{_advice_if_full(path)}")
    advice = _OTHER_ADVICE if error.errno is None else _ADVICE.get(error.errno, _OTHER_ADVICE)
    return DiskError(f"{where}: {reason}; {advice}")


def _advice_if_full(path: Path) -> str:
    try:
        free, inodes = free_bytes(path), free_inodes(path)
    except OSError:
        free = inodes = None
    if free is not None and inodes is not None and inodes < _FEW_INODES and free > inodes * _BYTES_PER_INODE:
        return (
            f", which leaves {free:,} bytes free, but only {inodes:,} inodes, of which each file takes one: delete "
            "files that are not needed, or use a file system with more inodes, and run the build again"
        )
    left = "" if free is None else f", which leaves {free:,} bytes free"
    return f"{left}: free some space (or raise the quota) and run the build again"
