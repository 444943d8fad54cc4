"""The files of a folder, written to the disk while others are still being made."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from luigi_ilsvrc.storage.publish import sync_file_system

_SYNC_EVERY = 32 << 20
"""Bytes that are made before they are written to the disk."""


@contextmanager
def early_sync(folder: Path) -> Iterator[Callable[[int], None]]:
    """Yield a function that is told of the bytes of each new file in a folder; now and then, a thread writes them.

    Without it, the disk waits until the folder is complete, and the process then waits for the disk. What is not
    written at the end is left to whoever publishes the folder.

    Raises
    ------
    OSError
        If the disk does not take the files. The system says that once, so that nobody finds out later.
    """
    waiting, syncs = 0, list[Future[bool]]()

    def written(size: int) -> None:
        nonlocal waiting
        waiting += size
        if waiting >= _SYNC_EVERY and all(sync.done() for sync in syncs):
            waiting = 0
            syncs.append(threads.submit(sync_file_system, folder))

    with ThreadPoolExecutor(1, "early-sync") as threads:
        yield written
    for sync in syncs:
        sync.result()
