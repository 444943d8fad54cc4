"""A file that has its size, and if possible its place on the disk, before it is written here and there."""

import ctypes
import errno
import os
from functools import cache
from typing import Any

_NO_ALLOCATION = {errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL}


def allocate(descriptor: int, size: int) -> None:
    """Give an open file at least `size` bytes; those that nobody has written are zeros.

    On the disk they lie in one piece, whatever the order in which they are written, and a full disk is noticed now. A
    file system that cannot do that gives the file its size alone.

    Raises
    ------
    OSError
        If the disk has too little space.
    """
    if not _allocate(descriptor, size) and os.fstat(descriptor).st_size < size:
        os.ftruncate(descriptor, size)


def _allocate(descriptor: int, size: int) -> bool:
    # Not os.posix_fallocate: where the file system cannot do it, the C library writes a byte to each block, which takes
    # hours, and may write a zero over what another process has just written.
    function = getattr(_libc(), "fallocate64", None)
    if function is None:
        return False
    while function(descriptor, 0, ctypes.c_int64(0), ctypes.c_int64(size)) != 0:
        code = ctypes.get_errno()
        if code in _NO_ALLOCATION:
            return False
        if code != errno.EINTR:
            raise OSError(code, os.strerror(code))
    return True


@cache
def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)
