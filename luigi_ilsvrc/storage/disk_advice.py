"""What the system is told of how a file is read and written: what it is not told, it guesses.

See posix_fadvise(2). What is told changes how fast bytes come, and never which; a system that has no such call, as
macOS, or does not take it, guesses as before.
"""

import os
from contextlib import suppress


def in_no_order(descriptor: int) -> None:
    """Say that a file is read here and there: what lies around a place that is read is not read with it."""
    _advise(descriptor, 0, 0, "RANDOM")


def from_start_to_end(descriptor: int) -> None:
    """Say that a file is read from its start to its end: more of it is read at once, ahead of time."""
    _advise(descriptor, 0, 0, "SEQUENTIAL")


def soon(descriptor: int, offset: int, size: int) -> None:
    """Say that bytes of a file will be read soon: the system begins to read them, and does not wait for them."""
    _advise(descriptor, offset, size, "WILLNEED")


def written(descriptor: int, offset: int, size: int) -> None:
    """Say that bytes were written and will not be read soon: the system begins to write them to the disk.

    Linux starts to write what is dirty, and drops from memory what is on the disk already. No other call does that
    without waiting.
    """
    _advise(descriptor, offset, size, "DONTNEED")


def _advise(descriptor: int, offset: int, size: int, advice: str) -> None:
    if hasattr(os, "posix_fadvise"):
        with suppress(OSError, OverflowError):
            os.posix_fadvise(descriptor, offset, size, getattr(os, f"POSIX_FADV_{advice}"))
