"""A folder shown once more, as a network file system shows it: every request takes some milliseconds.

``python -m tests.benchmarks.slow_mount FOLDER MOUNTPOINT``, as root, until it is unmounted (``fusermount3 -u``) or
interrupted.
"""

import argparse
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mfusepy import FUSE, Operations

_ATTRIBUTES = ("st_mode", "st_ino", "st_nlink", "st_uid", "st_gid", "st_size", "st_blocks")
_TIMES = ("st_atime", "st_mtime", "st_ctime")


class SlowFolder(Operations):  # type: ignore[misc]
    """A folder; each request waits, as if it went over a network, and others are answered meanwhile.

    Parameters
    ----------
    folder : Path
        What is shown.
    seconds : float
        How long each request takes.
    """

    use_ns = True

    def __init__(self, folder: Path, seconds: float) -> None:
        self._folder = str(folder)
        self._seconds = seconds

    def _find(self, path: str) -> str:
        time.sleep(self._seconds)
        return self._folder + path

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        """Return the attributes of a file."""
        found = os.lstat(self._find(path))
        times = {name: getattr(found, f"{name}_ns") for name in _TIMES}
        return {name: getattr(found, name) for name in _ATTRIBUTES} | times

    def readdir(self, path: str, fh: int) -> Iterator[tuple[str, dict[str, int], int]]:
        """Yield the names in a folder, with number and kind of each file."""
        with os.scandir(self._find(path)) as entries:
            for entry in entries:
                mode = stat.S_IFDIR if entry.is_dir(follow_symlinks=False) else stat.S_IFREG
                yield entry.name, {"st_ino": entry.inode(), "st_mode": mode}, 0

    def open(self, path: str, flags: int) -> int:
        """Open a file."""
        return os.open(self._find(path), flags)

    def create(self, path: str, mode: int, fi: object = None) -> int:
        """Make a file."""
        return os.open(self._find(path), os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        """Read a part of a file."""
        self._find(path)
        return os.pread(fh, size, offset)

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        """Write a part of a file."""
        self._find(path)
        return os.pwrite(fh, data, offset)

    def truncate(self, path: str, length: int, fh: int | None = None) -> None:
        """Give a file another size."""
        os.truncate(self._find(path), length)

    def fsync(self, path: str, datasync: int, fh: int) -> None:
        """Write a file to the disk."""
        self._find(path)
        os.fsync(fh)

    def release(self, path: str, fh: int) -> None:
        """Close a file."""
        os.close(fh)

    def link(self, target: str, source: str) -> None:
        """Give a file one more name."""
        os.link(self._folder + source, self._find(target))

    def symlink(self, target: str, source: str) -> None:
        """Make a symbolic link."""
        os.symlink(source, self._find(target))

    def readlink(self, path: str) -> str:
        """Read a symbolic link."""
        return os.readlink(self._find(path))

    def rename(self, old: str, new: str) -> None:
        """Give a file another name."""
        os.rename(self._folder + old, self._find(new))

    def unlink(self, path: str) -> None:
        """Remove a file."""
        os.unlink(self._find(path))

    def mkdir(self, path: str, mode: int) -> None:
        """Make a folder."""
        os.mkdir(self._find(path), mode)

    def rmdir(self, path: str) -> None:
        """Remove a folder."""
        os.rmdir(self._find(path))

    def chmod(self, path: str, mode: int) -> None:
        """Change who may do what."""
        os.chmod(self._find(path), mode)

    def chown(self, path: str, uid: int, gid: int) -> None:
        """Change the owner."""
        os.chown(self._find(path), uid, gid)

    def utimens(self, path: str, times: tuple[int, int]) -> None:
        """Change the times of a file, in nanoseconds."""
        os.utime(self._find(path), ns=times)

    def statfs(self, path: str) -> dict[str, int]:
        """Return how much space there is."""
        found = os.statvfs(self._find(path))
        return {name: getattr(found, name) for name in dir(found) if name.startswith("f_")}


def main() -> None:
    """Mount as the command line asks, and serve."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.slow_mount", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("mountpoint", type=Path)
    parser.add_argument("--milliseconds", type=float, default=5, metavar="MS", help="of each request (default: 5)")
    arguments = parser.parse_args()
    FUSE(
        SlowFolder(arguments.folder.resolve(), arguments.milliseconds / 1000),
        str(arguments.mountpoint),
        foreground=True,
        # As network file systems do, which look at time and size when a file is opened.
        auto_cache=True,
        big_writes=True,
        use_ino=True,
        fsname="slow",
    )


if __name__ == "__main__":
    main()
