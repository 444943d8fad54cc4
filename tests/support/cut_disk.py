"""A disk that can be cut from power: what was not written to it (fsync, syncfs) is lost.

The disk is a file with an ext4 on it, mounted through a loop device. The file holds what has reached the disk; what is
only in the kernel's page cache is not in it. A copy of the file is what a power cut leaves.
"""

import filecmp
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

_OPTIONS = "loop,commit=300,noauto_da_alloc"
"""The journal is written for an fsync alone, and a rename does not write the file's data, as on other file systems."""


class CannotMountError(Exception):
    """This system does not let the process make or mount a disk."""


def make_disk(image: Path, size: int = 64 << 20) -> None:
    """Write an empty disk. Raises CannotMountError."""
    with image.open("wb") as file:
        file.truncate(size)
    _run("mkfs.ext4", "-q", "-F", image)


@contextmanager
def mounted_disk(image: Path, directory: Path) -> Iterator[Path]:
    """Mount a disk; its journal is replayed if it was cut from power. Raises CannotMountError."""
    directory.mkdir(exist_ok=True)
    _run("mount", "-o", _OPTIONS, image, directory)
    try:
        yield directory
    finally:
        # Lazily: a process that was just killed may still hold a file.
        _run("umount", "--lazy", directory)


def _run(*command: object) -> None:
    if os.geteuid() != 0:
        raise CannotMountError("mounting a disk takes root")
    try:
        done = subprocess.run([*map(str, command)], capture_output=True, text=True)
    except FileNotFoundError as error:
        raise CannotMountError(f"{command[0]} is not installed") from error
    if done.returncode:
        raise CannotMountError(f"{' '.join(map(str, command))}: {done.stderr.strip()}")


def cut_power(image: Path, copy: Path, writers: Sequence[int], stop: int) -> None:
    """Copy the disk as it is now, while its writers are stopped.

    Parameters
    ----------
    image : Path
        The mounted disk.
    copy : Path
        The disk after the cut.
    writers : sequence of int
        The process ids of all that writes to it.
    stop : int
        The signal that stops them.
    """
    for pid in writers:
        try:
            os.kill(pid, stop)
        except ProcessLookupError:
            continue
    while any(_state(pid) in ("R", "D", "S") for pid in writers):
        # An fsync that has begun is ended.
        os.sched_yield()
    while True:
        # The kernel may be writing to the disk meanwhile. A copy that differs from the disk when that is read again is
        # a mixture, which no disk ever was.
        shutil.copyfile(image, copy)
        if filecmp.cmp(image, copy, shallow=False):
            return


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""
