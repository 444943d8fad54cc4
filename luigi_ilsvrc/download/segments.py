"""Several connections fill one partial file.

The missing bytes are divided into segments. Threads take them from a queue, the lowest first, and each has a connection
of its own. The calling thread hashes the received bytes while the system still has them in memory, saves the record and
reports progress; on an interrupt it stops the workers.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from luigi_ilsvrc.download.partial_file import RECORD_INTERVAL_SECONDS, PartialFile
from luigi_ilsvrc.download.partial_record import Range
from luigi_ilsvrc.download.source import FileVersion, ParallelSource, Reply, TransientError
from luigi_ilsvrc.download.transfer import FILE_CHANGED, Transfer, backoff_delay

MAX_UNHASHED_BYTES = 256 << 20
"""Bytes that may be received before the MD5 reads them: it must find them in the page cache, not on the disk."""

MAX_SEGMENT = 32 << 20
"""Bytes of a segment at most. A request costs a round trip, which must be short compared with the segment's time."""

MIN_SEGMENT = 1 << 19
"""Bytes of a segment at least. Segments become smaller towards the end, so that all connections finish together."""

SEGMENT_DIVISOR = 1.2
"""Segment size = missing bytes / (SEGMENT_DIVISOR * connections). Larger values balance slow connections but add
requests: measured with 8 equally fast connections, 2 takes 1.4 % longer than 1.2."""

NOTIFY_BYTES = 1 << 20
"""Notify the main thread after this many bytes, not per chunk, to avoid constant wake-ups."""

MIN_BYTES_PER_CONNECTION = 4 << 20
"""Minimum missing bytes per extra connection; below this, connecting costs more than it saves."""

_JOIN_SECONDS = 0.05

logger = logging.getLogger(__name__)


def useful_connections(allowed: int, missing: int) -> int:
    """Return how many of the `allowed` connections to use for `missing` bytes, 1 or more."""
    return max(1, min(allowed, missing // MIN_BYTES_PER_CONNECTION))


def fill(transfer: Transfer, source: ParallelSource, reply: Reply, connections: int) -> None:
    """Download all that the partial file lacks.

    Parameters
    ----------
    transfer : Transfer
        The version of its partial file has a total.
    source : ParallelSource
        Where the bytes are.
    reply : Reply
        What `source` has begun to send, from the end of the first range on: used by the first connection.
    connections : int
        How many to use.

    Raises
    ------
    TransientError
        If no connection can continue, or one receives another version of the file; what was received is recorded.
    DownloadError
        If one connection meets an error that no further attempt can repair.
    """
    partial = transfer.partial
    version = partial.version
    assert version is not None
    assert version.total is not None
    partial.track_ranges()
    gaps = partial.gaps(version.total)
    queue = _SegmentQueue(gaps, connections)
    sources = [source, *(source.for_thread() for _ in range(connections - 1))]
    workers = [_Worker(queue, partial, each, version) for each in sources]
    workers[0].adopt(reply, gaps[0][1])
    try:
        for worker in workers:
            worker.start()
        _follow(transfer, queue)
    finally:
        queue.stop()
        for worker in workers:
            worker.wait_until_stopped()
        partial.mark_received(queue.collect_remaining())
        partial.save_record()


def _follow(transfer: Transfer, queue: "_SegmentQueue") -> None:
    """Hash, record and report what the workers receive, until the file is complete and hashed."""
    partial = transfer.partial
    has_more_to_hash = True
    while has_more_to_hash or not partial.is_complete:
        partial.mark_received(queue.collect_ranges(wait=not has_more_to_hash))
        transfer.report()
        has_more_to_hash = partial.hash_next()
        queue.allow_up_to(partial.size - partial.bytes_to_hash + MAX_UNHASHED_BYTES)


class _Stopped(Exception):  # noqa: N818 - not an error
    """The download was stopped."""


@dataclass(eq=False)
class _Segment:
    start: int
    position: int
    end: int


class _SegmentQueue:
    """Which worker downloads what: all that the threads share, behind one lock."""

    def __init__(self, gaps: list[Range], connections: int) -> None:
        lock = threading.Lock()
        self._work = threading.Condition(lock)
        self._received = threading.Condition(lock)
        self._gaps = list(gaps)
        self._segments: list[_Segment] = []
        self._max_segment = max(MIN_SEGMENT, min(MAX_SEGMENT, MAX_UNHASHED_BYTES // (2 * connections)))
        self._connections = connections
        self._active = connections
        self._limit = gaps[0][0] + MAX_UNHASHED_BYTES
        self._is_notified = False
        self._unreported = 0
        self._error: BaseException | None = None
        self._is_stopped = False

    def acquire(self, near: int | None) -> _Segment:
        """Wait for a segment and return it: the one at the offset `near` if it is free, else the lowest.

        Raises `_Stopped` if the download was stopped.
        """
        with self._work:
            self._work.wait_for(lambda: self._is_stopped or self._has_work())
            self._check_stopped()
            return self._cut(next((gap for gap in self._gaps if gap[0] == near), self._gaps[0]))

    def _has_work(self) -> bool:
        return bool(self._gaps) and self._gaps[0][0] < self._limit

    def _cut(self, gap: Range) -> _Segment:
        start, end = gap
        missing = sum(end - start for start, end in self._gaps)
        share = int(missing / (SEGMENT_DIVISOR * self._connections))
        size = max(MIN_SEGMENT, min(share, self._max_segment))
        cut = end if end - start < size + MIN_SEGMENT else start + size
        index = self._gaps.index(gap)
        self._gaps[index : index + 1] = [(cut, end)] if cut < end else []
        segment = _Segment(start, start, cut)
        self._segments.append(segment)
        return segment

    def advance(self, segment: _Segment, count: int) -> None:
        """Count `count` more bytes of `segment`; raise `_Stopped` if the download was stopped."""
        with self._received:
            segment.position += count
            self._unreported += count
            if self._unreported >= NOTIFY_BYTES or segment.position == segment.end:
                self._notify()
            self._check_stopped()

    def back_off(self, segment: _Segment, error: TransientError, seconds: float) -> None:
        """Return the unfinished part to the queue and sleep. If no worker remains active, stop with `error`."""
        with self._work:
            if segment.position < segment.end:
                self._gaps.append((segment.position, segment.end))
                self._gaps.sort()
                segment.end = segment.position
                self._work.notify_all()
            self._active -= 1
            if error.start_over or not self._active:
                self._stop(error)
            self._work.wait_for(lambda: self._is_stopped, seconds)
            self._active += 1

    def fail(self, error: BaseException) -> None:
        """Stop with `error`, which the main thread then raises."""
        with self._work:
            self._stop(error)

    def stop(self) -> None:
        """Stop all workers."""
        with self._work:
            self._is_stopped = True
            self._work.notify_all()

    def run_unless_stopped(self, callback: Callable[[], None] = lambda: None) -> None:
        """Run `callback` under the lock; raise `_Stopped` if the download was stopped."""
        with self._work:
            self._check_stopped()
            callback()

    def allow_up_to(self, limit: int) -> None:
        """Allow segments that begin below `limit`."""
        with self._work:
            had_work = self._has_work()
            self._limit = limit
            if not had_work and self._has_work():
                self._work.notify_all()

    def collect_ranges(self, *, wait: bool) -> list[Range]:
        """Return what was received of each segment since it began; raise the error that stopped the download.

        A finished segment is returned once. With `wait`, first wait for new bytes, but not longer than a record may be
        late.
        """
        with self._received:
            if wait:
                self._received.wait_for(lambda: self._is_notified, RECORD_INTERVAL_SECONDS)
            if self._error:
                raise self._error
            return self._collect()

    def collect_remaining(self) -> list[Range]:
        """Return the same after the download was stopped."""
        with self._received:
            return self._collect()

    def _collect(self) -> list[Range]:
        self._is_notified = False
        self._unreported = 0
        ranges = [(segment.start, segment.position) for segment in self._segments]
        self._segments = [segment for segment in self._segments if segment.position < segment.end]
        return ranges

    def _notify(self) -> None:
        if not self._is_notified:
            self._is_notified = True
            self._received.notify()

    def _check_stopped(self) -> None:
        if self._is_stopped:
            raise _Stopped

    def _stop(self, error: BaseException) -> None:
        self._error = self._error or error
        self._is_stopped = True
        self._work.notify_all()
        self._notify()


class _Worker(threading.Thread):
    """Downloads one segment after the other over one connection."""

    def __init__(
        self, queue: _SegmentQueue, partial: PartialFile, source: ParallelSource, version: FileVersion
    ) -> None:
        # A daemon thread, so that an interrupted process can end although a server never answers.
        super().__init__(daemon=True)
        self._queue = queue
        self._partial = partial
        self._source = source
        self._version = version
        self._segment: _Segment | None = None
        self._open_replies = ExitStack()
        self._chunks: Iterator[bytes | memoryview] = iter(())
        self._rest: bytes | memoryview = b""
        self._position: int | None = None
        self._reply_end: int | None = None
        self._is_waiting_for_reply = False

    def adopt(self, reply: Reply, end: int) -> None:
        """Begin with a reply that has been opened; it was asked for up to `end`."""
        self._segment = self._queue.acquire(reply.start)
        self._use(reply, end)

    def run(self) -> None:
        """Download segments until there are no more, or the download is stopped."""
        try:
            with self._open_replies:
                self._download_all()
        except _Stopped:
            pass
        except BaseException as error:
            self._queue.fail(error)
        finally:
            self._source.close()

    def _download_all(self) -> None:
        failures = 0
        while True:
            segment = self._segment or self._queue.acquire(self._position)
            self._segment = None
            begin = segment.position
            try:
                self._download(segment)
                failures = 0
            except TransientError as error:
                failures = 1 if segment.position > begin else failures + 1
                self._position = None
                self._open_replies.close()
                self._queue.run_unless_stopped()
                delay = backoff_delay(failures, error.retry_after)
                logger.warning("%s: %s; one connection less for %.0f s", self._source.address, error, delay)
                self._queue.back_off(segment, error, delay)

    def _download(self, segment: _Segment) -> None:
        if self._position != segment.position:
            self._request(segment)
        while segment.position < segment.end:
            chunk = memoryview(self._rest or next(self._chunks, b""))
            if not chunk:
                raise TransientError(f"the reply ended at byte {segment.position:,} of {segment.end:,}")
            count = self._partial.write(chunk[: segment.end - segment.position], segment.position)
            self._rest = chunk[count:]
            self._queue.advance(segment, count)
        # A reply that was asked for up to here has nothing for the next segment.
        self._position = segment.end if self._reply_end != segment.end else None

    def _request(self, segment: _Segment) -> None:
        self._open_replies.close()
        self._is_waiting_for_reply = True
        reply = self._open_replies.enter_context(self._source.open(segment.position, self._version, segment.end))
        self._queue.run_unless_stopped(self._has_reply)
        if reply.version.merge(self._version) is None:
            raise TransientError(FILE_CHANGED, start_over=True)
        if reply.start != segment.position:
            # A server may consist of several hosts or caches, and some of them may not send ranges.
            raise TransientError(f"the reply begins at byte {reply.start:,} instead of {segment.position:,}")
        self._use(reply, segment.end)

    def _has_reply(self) -> None:
        self._is_waiting_for_reply = False

    def _use(self, reply: Reply, end: int) -> None:
        self._open_replies.callback(reply.close)
        self._chunks = iter(reply.chunks)
        self._rest = b""
        self._position, self._reply_end = reply.start, end

    def wait_until_stopped(self) -> None:
        """Wait until the thread writes no more; the queue is stopped.

        A thread that waits for the beginning of a reply cannot be interrupted. It is left alone: it ends at its
        time-out, and changes nothing, because the queue is stopped.
        """
        while self.is_alive():
            self._source.abort()
            self.join(_JOIN_SECONDS)
            if self._is_waiting_for_reply:
                return
