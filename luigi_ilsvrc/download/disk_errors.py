"""What a download says if a disk cannot be read or written."""

import errno
import os
from pathlib import Path

from luigi_ilsvrc.download.source import DownloadError
from luigi_ilsvrc.storage.disk import free_inodes

_FULL = (errno.ENOSPC, errno.EDQUOT)
_OTHER_FOLDER = "choose another folder with --data-dir"
_ADVICE = {
    errno.EROFS: f"the file system is mounted read-only: mount it for writing, or {_OTHER_FOLDER}",
    errno.EIO: "the disk or its file server has failed: check it (see the kernel's log), and run again",
    errno.EFBIG: f"the file system or `ulimit -f` limits the size of a file: raise the limit, or {_OTHER_FOLDER}",
    errno.EACCES: f"make it writable, or {_OTHER_FOLDER}",
    errno.EPERM: f"make it writable, or {_OTHER_FOLDER}",
    errno.ENOENT: f"make this folder, or {_OTHER_FOLDER}",
    errno.ENOTDIR: f"a part of this path is a file: remove it, or {_OTHER_FOLDER}",
    errno.EISDIR: "a folder has the name of this file: remove it",
    errno.ELOOP: "a symbolic link has the name of this file: remove it",
    errno.ESTALE: "the file server has lost the file: run again",
}


def write_error(error: OSError, path: Path) -> DownloadError:
    """Return the error to raise if `path`, or a file of the operating system's own choice, cannot be written."""
    where = error.filename2 or error.filename or path
    advice = full_advice(error, path) or _ADVICE.get(error.errno or 0, f"fix this, or {_OTHER_FOLDER}")
    return DownloadError(f"cannot write {os.fsdecode(where)}: {error.strerror or error}; {advice}")


def full_advice(error: OSError, path: Path) -> str | None:
    """Return what to do if a disk is full; None if `error` is another one."""
    if error.errno not in _FULL:
        return None
    if error.errno == errno.EDQUOT:
        return "the quota is used up: remove some files, or have the quota raised, and run again"
    if _has_no_inodes(path):
        return "the disk has no inodes left, whatever space is free: remove some files, and run again"
    return "free some space, and run again"


def _has_no_inodes(path: Path) -> bool:
    try:
        return free_inodes(path) == 0
    except OSError:
        return False


def read_error(error: OSError, path: Path, advice: str) -> DownloadError:
    """Return the error to raise if `path` cannot be read."""
    reason = error.strerror or error
    if error.errno == errno.EIO:
        advice = f"the disk or its file server has failed: check it (see the kernel's log); {advice}"
    return DownloadError(f"cannot read {path}: {reason}; {advice}")
