"""When each output was made: a line for each run of a task, in one file a host that lines are only added to.

They are for the report alone. No digest has them, nothing fails without them, and a line that cannot be read is left
out. A process that is killed adds none.
"""

import csv
import io
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from luigi_ilsvrc.errors import BuildError
from luigi_ilsvrc.storage.temporary import host_id

_SUFFIX = ".csv"
_DONE, _FAILED = "done", "failed"


class Work(NamedTuple):
    """One run of a task.

    Attributes
    ----------
    task : str
        The task's name.
    output : str
        What it makes, below the data directory.
    began, ended : float
        In seconds since the epoch.
    bytes : int
        How many it has made; 0 if it has failed.
    is_done : bool
        Whether it has made its output.
    host : str
        Where it ran.
    """

    task: str
    output: str
    began: float
    ended: float
    bytes: int
    is_done: bool
    host: str


@contextmanager
def timed(folder: Path, task: str, output: str, size: Callable[[], int]) -> Iterator[None]:
    """Add a line when the block ends, also if it fails or is interrupted.

    Parameters
    ----------
    folder : Path
        The folder of all timings of a build; made if it is missing.
    task, output : str
        See `Work`.
    size : callable
        Tells after the block how many bytes it has made; may raise OSError or a `BuildError`.
    """
    began = time.time()
    is_done = False
    try:
        yield
        is_done = True
    finally:
        # Without a place to write it, there is one line less.
        with suppress(OSError, BuildError):
            _add(folder, (task, output, f"{began:.3f}", f"{time.time():.3f}", *_result(is_done, size)))


def _result(is_done: bool, size: Callable[[], int]) -> tuple[int, str]:
    return (size(), _DONE) if is_done else (0, _FAILED)


def _add(folder: Path, fields: tuple[object, ...]) -> None:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(fields)
    os.makedirs(folder, exist_ok=True)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
    descriptor = os.open(folder / f"{host_id()}{_SUFFIX}", flags, 0o666)
    try:
        # One call: lines of several processes do not mix.
        os.write(descriptor, line.getvalue().encode())
    finally:
        os.close(descriptor)


def is_timings_name(name: str) -> bool:
    """Tell whether a file in the folder of timings may have this name."""
    return name.endswith(_SUFFIX)


def read_timings(folder: Path) -> list[Work]:
    """Read the timings of all hosts, by the time when they began; none if there is no folder."""
    found: list[Work] = []
    with suppress(OSError):
        for path in sorted(folder.glob(f"*{_SUFFIX}")):
            with suppress(OSError):
                lines = path.read_text(errors="replace").replace("\0", "").splitlines()
                found += [work for line in lines if (work := _parse(line, path.stem)) is not None]
    return sorted(found, key=lambda work: (work.began, work.ended, work.output))


def _parse(line: str, host: str) -> Work | None:
    try:
        task, output, began, ended, size, result = next(csv.reader([line]))
        work = Work(task, output, float(began), float(ended), int(size), result == _DONE, host)
    except (ValueError, StopIteration, csv.Error):
        return None
    # A clock that was set back, or a damaged line.
    return work if 0 < work.began <= work.ended < float("inf") and work.bytes >= 0 else None
