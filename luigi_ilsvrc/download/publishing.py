"""Files that appear whole under their names, and are on the disk when they do."""

import ctypes
import errno
import os
import secrets
import socket
from contextlib import suppress
from pathlib import Path

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EINVAL)


def unique_path(path: Path) -> Path:
    """Return a temporary name beside `path` that no other process has."""
    return path.with_name(f"{path.name}.{socket.gethostname()}.{os.getpid()}.{secrets.token_hex(4)}")


def new_file(path: Path) -> int:
    """Make an empty file and return its descriptor; raises FileExistsError if anything has this name."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)


def replace_file(path: Path, contents: bytes, *, durable: bool = True) -> None:
    """Write a file of this name in one step, in the place of another one; a link of this name is not followed.

    Parameters
    ----------
    path : Path
        The file.
    contents : bytes
        What it holds.
    durable : bool, optional
        Whether it must survive a power cut that comes after this call.
    """
    temporary = unique_path(path)
    try:
        with open(new_file(temporary), "wb") as file:
            file.write(contents)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        _sync(path.parent)


def publish_file(temporary: Path, path: Path) -> bool:
    """Give a finished file its name, once it is on the disk, unless there is something of this name.

    Returns
    -------
    bool
        False if `path` existed already; then nothing was done.
    """
    _sync(temporary)
    try:
        os.link(temporary, path, follow_symlinks=False)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if not _rename_without_replacing(temporary, path):
            return False
    else:
        temporary.unlink(missing_ok=True)
    _sync(path.parent)
    return True


def _rename_without_replacing(temporary: Path, path: Path) -> bool:
    with suppress(AttributeError):
        rename = ctypes.CDLL(None, use_errno=True).renameat2
        if rename(_AT_FDCWD, os.fsencode(temporary), _AT_FDCWD, os.fsencode(path), _RENAME_NOREPLACE) == 0:
            return True
        code = ctypes.get_errno()
        if code == errno.EEXIST:
            return False
        if code not in _NO_LINKS:
            raise OSError(code, os.strerror(code), str(path))
    if os.path.lexists(path):
        return False
    os.rename(temporary, path)
    return True


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
