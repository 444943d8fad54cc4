"""Whether a lock surely keeps all other processes out.

On a file system of a network, or one in user space, locks may fail, succeed for everybody, or hold on one host only.
"""

import ctypes
import fcntl
import os
import sys
from pathlib import Path

# statfs(2), f_type: file systems of one host, whose locks the kernel keeps.
_LOCAL = {
    0xEF53,  # ext2, ext3, ext4
    0x58465342,  # xfs
    0x9123683E,  # btrfs
    0x01021994,  # tmpfs
    0x794C7630,  # overlayfs
    0x2FC12FC1,  # zfs
    0xF2F52010,  # f2fs
    0xCA451A4E,  # bcachefs
}


def has_exclusive_lock(descriptor: int, path: Path) -> bool:
    """Tell whether the lock (flock(2)) that this process holds on an open file keeps all other processes out.

    Parameters
    ----------
    descriptor : int
        The open file.
    path : Path
        Its name.
    """
    return _is_local(descriptor) and _refuses_another(path)


def _refuses_another(path: Path) -> bool:
    """Try to lock the file once more, as another process would."""
    try:
        another = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(another, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        os.close(another)
    return False


def _is_local(descriptor: int) -> bool:
    if sys.platform != "linux":
        return False
    # The first field of struct statfs, a word of the machine; the rest is not used.
    buffer = (ctypes.c_ulong * 64)()
    if ctypes.CDLL(None).fstatfs(descriptor, ctypes.byref(buffer)) != 0:
        return False
    return buffer[0] & 0xFFFFFFFF in _LOCAL
