"""Several parquet files at once: what is read of them is unpacked by threads at the same time."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock
from typing import TypeVar

from luigi_ilsvrc.progress import BYTES, Progress

T = TypeVar("T")


class _StoppedError(Exception):
    """Another thread has failed."""


def for_each(count: int, work: Callable[[int, Event], T], threads: int) -> list[T]:
    """Call `work` with each number below `count`, several at once, and return what the calls return.

    If a call fails, the others are to end: they pass what they iterate over to `until`, with the event that they get.
    Of several errors, that of the lowest number is raised.
    """
    stop = Event()
    with ThreadPoolExecutor(threads, "parquet") as pool:
        calls = [pool.submit(work, number, stop) for number in range(count)]
        try:
            return [call.result() for call in calls]
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def until(stop: Event, items: Iterable[T]) -> Iterator[T]:
    """Yield items; end with an exception when `stop` is set."""
    for item in items:
        if stop.is_set():
            raise _StoppedError
        yield item


class ByteCounter:
    """Counts the bytes of several threads together and reports them as progress."""

    def __init__(self, stage: str, total: int, progress: Progress) -> None:
        self._stage = stage
        self._total = total
        self._progress = progress
        self._done = 0
        self._lock = Lock()

    def add(self, size: int) -> None:
        """Report that more bytes are done."""
        with self._lock:
            self._done += size
            self._progress(self._stage, self._done, self._total, BYTES)
