"""Seeing what another host has just published.

A network file system remembers for some time what it has seen: a name that was missing stays missing, and sizes and
times stay the old ones. By default that is up to 60 seconds for folders on NFS (``acdirmax`` in nfs(5)).
"""

import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0

_patience = 0.0


def be_patient(seconds: float) -> None:
    """Set how long this process waits for what another host has published."""
    global _patience
    _patience = seconds


def patience() -> float:
    """Return how many seconds this process waits for what another host has published; 0 if there are no others."""
    return _patience


def look_again(folder: Path) -> None:
    """Let the system ask the file server for the state of a folder: NFS does when a folder is opened."""
    with suppress(OSError):
        os.close(os.open(folder, os.O_RDONLY | os.O_DIRECTORY))


def exists(path: Path) -> bool:
    """Tell whether there is something at `path`; its folder is looked up afresh before it counts as missing."""
    if path.exists():
        return True
    look_again(path.parent)
    return path.exists()


def wait_until_seen(is_seen: Callable[[], bool], folders: Iterable[Path], seconds: float) -> bool:
    """Wait until something is visible, at most for some seconds, looking up folders afresh; return whether it is."""
    deadline, pause = time.monotonic() + seconds, _FIRST_PAUSE
    while not is_seen():
        rest = deadline - time.monotonic()
        if rest <= 0:
            return False
        time.sleep(min(pause, rest))
        pause = min(2 * pause, _LONGEST_PAUSE)
        for folder in folders:
            look_again(folder)
    return True
