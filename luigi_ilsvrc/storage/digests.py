"""Files read in chunks, and their MD5 sums."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from luigi_ilsvrc.progress import BYTES, Progress, no_progress
from luigi_ilsvrc.storage import disk_advice

MD5Of = Callable[[Path, Progress], str]
"""Returns a file's MD5 sum, as `md5_of_file` does."""

CHUNK = 1 << 20
"""Bytes that are read at once."""


def read_chunks(path: Path) -> Iterator[memoryview]:
    """Read a file to its end; each chunk is valid until the next one.

    Raises
    ------
    OSError
        With the path as its file name, if the file cannot be read.
    """
    buffer = memoryview(bytearray(CHUNK))
    with path.open("rb", buffering=0) as file:
        disk_advice.from_start_to_end(file.fileno())
        while True:
            try:
                count = file.readinto(buffer)
            except OSError as error:
                error.filename = str(path)
                raise
            if not count:
                return
            yield buffer[:count]


def md5_of_file(path: Path, progress: Progress = no_progress, stage: str = "checking") -> str:
    """Return a file's MD5 sum, 32 lower-case hexadecimal digits; progress counts bytes. Raises OSError."""
    md5 = hashlib.md5(usedforsecurity=False)
    size, done = path.stat().st_size, 0
    for chunk in read_chunks(path):
        md5.update(chunk)
        done += len(chunk)
        progress(stage, done, size, BYTES)
    return md5.hexdigest()
