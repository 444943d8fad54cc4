"""Outputs that are whole when they exist, however many processes make them and whenever these, or the power, fail.

An output is made under a temporary name that no other process can have, written to the disk (fsync), and then published
without overwriting. Of two processes that make the same output, the second one discards its own. No lock is needed for
that; locks (see `locks`) only save double work.
"""

import ctypes
import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from luigi_ilsvrc.storage.temporary import temporary_path

_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV, errno.EACCES}
_NO_RENAME_FLAGS = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}
_NO_SYNCFS = {errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP}
_EXISTS = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR}

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
"""From <fcntl.h> and <linux/fs.h>; see renameat2(2)."""


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """Yield a path to write to, an empty file; it becomes `path` when the block ends without an exception.

    Missing parent folders are made. If `path` exists by then, it stays, and what was written is discarded. If the
    block fails, nothing is left.

    Raises
    ------
    OSError
        If the file cannot be made, written to the disk or published.
    """
    make_folder(path.parent)
    temporary = temporary_path(path)
    os.close(create_file(temporary))
    try:
        yield temporary
        sync_file(temporary)
        publish_file(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder, which becomes `path`; otherwise as `new_file`."""
    make_folder(path.parent)
    temporary = temporary_path(path)
    temporary.mkdir()
    try:
        yield temporary
        sync_folder_contents(temporary)
        publish_folder(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def replace_file(path: Path, contents: bytes, *, durable: bool = True) -> None:
    """Write a small file in place of whatever lies at `path`, at once and whole.

    Parameters
    ----------
    path : Path
        The file. A symbolic link is replaced, not followed.
    contents : bytes
        What it is to hold.
    durable : bool
        Whether it has to be on the disk when this returns; False for what is written often and can be lost.
    """
    make_folder(path.parent)
    temporary = temporary_path(path)
    descriptor = create_file(temporary)
    try:
        try:
            write_all(descriptor, contents)
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def new_link(path: Path, target: str) -> None:
    """Make a symbolic link, unless something is at `path`; a link that leads nowhere is replaced. Raises OSError."""
    if path.is_symlink() and not path.exists():
        replace_link(path, target)
        return
    make_folder(path.parent)
    with suppress(FileExistsError):
        path.symlink_to(target)
        sync_folder(path.parent)


def replace_link(path: Path, target: str) -> None:
    """Make a symbolic link in place of a file or link at `path`, at once. Raises OSError."""
    make_folder(path.parent)
    temporary = temporary_path(path)
    temporary.symlink_to(target)
    try:
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def create_file(path: Path) -> int:
    """Make an empty file and return its descriptor, to read and write; raises FileExistsError if anything is there."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)


def write_all(descriptor: int, contents: bytes | memoryview) -> None:
    """Write all of `contents` where the descriptor stands; write(2) may take a part only. Raises OSError."""
    rest = memoryview(contents)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def publish_file(temporary: Path, path: Path) -> bool:
    """Give a file its name, unless that exists; the file must be on the disk (fsync).

    Returns
    -------
    bool
        False if `path` exists already. The file then still has its temporary name.
    """
    published = _link(temporary, path)
    if published is None:
        published = _rename(temporary, path)
    if published:
        temporary.unlink(missing_ok=True)
        sync_folder(path.parent)
    return published


def publish_folder(temporary: Path, path: Path) -> bool:
    """Give a folder its name, unless that exists; otherwise as `publish_file`."""
    published = _rename(temporary, path)
    if published:
        sync_folder(path.parent)
    return published


def _link(temporary: Path, path: Path) -> bool | None:
    """Return whether a link was made; None if the file system has no hard links."""
    try:
        os.link(temporary, path, follow_symlinks=False)
    except FileExistsError:
        # On NFS an answer may get lost and the request be repeated: then it is our own link.
        return _is_same(temporary, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return None
    return True


def _is_same(temporary: Path, path: Path) -> bool:
    try:
        return os.path.samestat(os.lstat(temporary), os.lstat(path))
    except FileNotFoundError:
        return False


def _rename(temporary: Path, path: Path) -> bool:
    try:
        _rename_without_replacing(temporary, path)
    except OSError as error:
        if error.errno in _EXISTS:
            return False
        if error.errno not in _NO_RENAME_FLAGS:
            raise
    else:
        return True
    # The file system has neither. rename(2) does not replace a folder that holds something.
    if os.path.lexists(path):
        return False
    try:
        temporary.rename(path)
    except OSError as error:
        if error.errno in _EXISTS:
            return False
        raise
    return True


def _rename_without_replacing(temporary: Path, path: Path) -> None:
    rename = getattr(_libc(), "renameat2", None)
    if rename is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    arguments = (_AT_FDCWD, os.fsencode(temporary), _AT_FDCWD, os.fsencode(path), _RENAME_NOREPLACE)
    if rename(*arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(path))


@cache
def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


# Onto the disk -------------------------------------------------------------------------------------------------------


def make_folder(path: Path) -> None:
    """Make a folder and its missing parents, durably; do nothing if it exists. Raises OSError."""
    if path.is_dir():
        return
    make_folder(path.parent)
    with suppress(FileExistsError):
        path.mkdir()
        sync_folder(path.parent)
    if not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))


def sync_file(path: Path) -> None:
    """Write a file to the disk (fsync). Raises OSError, which names it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        os.fsync(descriptor)
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        os.close(descriptor)


def sync_folder(path: Path) -> None:
    """Write the names in a folder to the disk; do nothing if its file system cannot."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        # Some network and FUSE file systems refuse it for folders.
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder_contents(path: Path) -> None:
    """Write all files in a folder to the disk: at once if the system can (syncfs), else file by file."""
    if sync_file_system(path):
        return
    for folder, _, names in os.walk(path):
        for name in names:
            # The folder holds all that there is of a link.
            if not os.path.islink(os.path.join(folder, name)):
                sync_file(Path(folder, name))
        sync_folder(Path(folder))


def sync_file_system(path: Path) -> bool:
    """Write all of a file system to the disk; return False if it cannot be asked for that."""
    sync = getattr(_libc(), "syncfs", None)
    if sync is None:
        return False
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if sync(descriptor) == 0:
            return True
        code = ctypes.get_errno()
    finally:
        os.close(descriptor)
    if code not in _NO_SYNCFS:
        raise OSError(code, os.strerror(code), str(path))
    return False
