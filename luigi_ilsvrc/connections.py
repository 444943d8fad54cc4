"""Several connections fill one partial file.

The missing bytes are handed out as segments, the lowest first, to threads that each talk to the server by themselves.
The thread that called follows behind them: it lets the MD5 read the bytes while the system still has them in memory,
records what came and tells the progress. It alone is interrupted, and ends the others.
"""

import logging
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from luigi_ilsvrc.partial_file import RECORD_EVERY_SECONDS, PartialFile, Span
from luigi_ilsvrc.progress import Progress
from luigi_ilsvrc.sources import PassingError, Reply, Version, WebFile

AHEAD = 256 << 20
"""Bytes that connections may be ahead of the MD5: it must find them in the page cache, not on the disk."""

LARGEST = 32 << 20
"""Bytes of a segment at most: a new question costs a round trip, which is to be short beside the segment's time."""

SMALLEST = 1 << 19
"""Bytes of a segment at least. Towards the end segments get smaller, so that all connections end together."""

SHARE = 1.2
"""How many times smaller a segment is than an equal share of what is missing, so that slow connections leave enough for
the others. Measured with 8 equal ones, 2 in place of 1.2 takes 1.4 % longer: each question is a pause."""

WORTH_TELLING = 1 << 20
"""Bytes that came, after which the thread that follows is woken: for each piece, it would do little else than wake."""

WORTH_A_CONNECTION = 4 << 20
"""Bytes that are missing for each further connection: less is there sooner than a connection."""

LONGEST_WAIT = 300.0
"""Seconds between two attempts at most, whatever a server's Retry-After asks for."""

logger = logging.getLogger(__name__)


def count_worth(connections: int, missing: int) -> int:
    """Return how many of `connections` to use for `missing` bytes."""
    return max(1, min(connections, missing // WORTH_A_CONNECTION))


def pause(failures: int, retry_after: float | None) -> float:
    """Return seconds to wait: what the source asked for, else twice as long each time, with jitter; never too long."""
    if retry_after is not None:
        return min(retry_after, LONGEST_WAIT)
    return min(2.0**failures, LONGEST_WAIT) * random.uniform(0.5, 1)


def fill(
    partial: PartialFile, origin: WebFile, reply: Reply, connections: int, *, hashing: bool, progress: Progress
) -> None:
    """Bring all that `partial` lacks.

    Parameters
    ----------
    partial : PartialFile
        Its `version` has a total, and the server sends ranges.
    origin : WebFile
        Where the bytes are.
    reply : Reply
        What `origin` has begun to send, from `partial.size` up to the end of the gap there: the first connection.
    connections : int
        How many to use.
    hashing : bool
        Whether the MD5 reads along.
    progress : callable
        Called from this thread alone.

    Raises
    ------
    PassingError
        Where no connection is able to go on, or one finds another file there; what came is held.
    DownloadError
        Where one connection meets what will not pass.
    """
    version = partial.version
    assert version is not None
    assert version.total is not None
    partial.keep_a_list()
    gaps = partial.gaps(version.total)
    plan = _Plan(gaps, connections)
    origins = [origin, *(origin.twin() for _ in range(connections - 1))]
    workers = [_Connection(plan, partial, each, version) for each in origins]
    workers[0].take_over(reply, gaps[0][1])
    try:
        for worker in workers:
            worker.start()
        _follow(plan, partial, origin.stage, version.total, hashing, progress)
    finally:
        plan.end()
        for worker in workers:
            worker.end()
        partial.hold(plan.take_last_news())
        partial.record()


def _follow(plan: "_Plan", partial: PartialFile, stage: str, total: int, hashing: bool, progress: Progress) -> None:
    """Go behind the connections, until all bytes are there and read by the MD5."""
    is_behind = True
    while is_behind or not partial.is_whole:
        partial.hold(plan.take_news(wait=not is_behind))
        progress(stage, partial.kept, total)
        is_behind = hashing and partial.hash_next()
        plan.allow_up_to((partial.hashed if hashing else partial.size) + AHEAD)


class _OverError(Exception):
    """The connections are to end."""


@dataclass(eq=False)
class _Segment:
    start: int
    position: int
    end: int


class _Plan:
    """Which connection brings what: all that the threads share, behind one lock."""

    def __init__(self, gaps: list[Span], connections: int) -> None:
        lock = threading.Lock()
        self._work = threading.Condition(lock)
        self._news = threading.Condition(lock)
        self._gaps = list(gaps)
        self._segments: list[_Segment] = []
        self._largest = max(SMALLEST, min(LARGEST, AHEAD // (2 * connections)))
        self._connections = connections
        self._able = connections
        self._limit = gaps[0][0] + AHEAD
        self._has_news = False
        self._fresh = 0
        self._trouble: BaseException | None = None
        self._is_over = False

    def claim(self, near: int | None) -> _Segment:
        """Hand out a segment, at the offset `near` if that is to be had, else the lowest; wait until there is one."""
        with self._work:
            self._work.wait_for(lambda: self._is_over or self._has_work())
            self._go_on()
            return self._cut(next((gap for gap in self._gaps if gap[0] == near), self._gaps[0]))

    def _has_work(self) -> bool:
        return bool(self._gaps) and self._gaps[0][0] < self._limit

    def _cut(self, gap: Span) -> _Segment:
        start, end = gap
        missing = sum(end - start for start, end in self._gaps)
        size = max(SMALLEST, min(int(missing / (SHARE * self._connections)), self._largest))
        cut = end if end - start < size + SMALLEST else start + size
        place = self._gaps.index(gap)
        self._gaps[place : place + 1] = [(cut, end)] if cut < end else []
        segment = _Segment(start, start, cut)
        self._segments.append(segment)
        return segment

    def advance(self, segment: _Segment, count: int) -> None:
        """Take note of `count` more bytes of `segment`; raises `_OverError` where no more are wanted."""
        with self._news:
            segment.position += count
            self._fresh += count
            if self._fresh >= WORTH_TELLING or segment.position == segment.end:
                self._tell()
            self._go_on()

    def sit_out(self, segment: _Segment, trouble: PassingError, seconds: float) -> None:
        """Give back the rest of `segment` and wait, while others go on; without others, `trouble` ends it all."""
        with self._work:
            if segment.position < segment.end:
                self._gaps.append((segment.position, segment.end))
                self._gaps.sort()
                segment.end = segment.position
                self._work.notify_all()
            self._able -= 1
            if trouble.start_over or not self._able:
                self._stop(trouble)
            self._work.wait_for(lambda: self._is_over, seconds)
            self._able += 1

    def fail(self, trouble: BaseException) -> None:
        """End it all with `trouble`."""
        with self._work:
            self._stop(trouble)

    def end(self) -> None:
        """End all connections."""
        with self._work:
            self._is_over = True
            self._work.notify_all()

    def go_on(self, then: Callable[[], None] | None = None) -> None:
        """Do `then`, with nobody ending it all meanwhile; raises `_OverError` where that is done."""
        with self._work:
            self._go_on()
            if then:
                then()

    def allow_up_to(self, limit: int) -> None:
        """Hand out segments that begin below `limit`."""
        with self._work:
            had_work = self._has_work()
            self._limit = limit
            if not had_work and self._has_work():
                self._work.notify_all()

    def take_news(self, *, wait: bool) -> list[Span]:
        """Return what came of the segments that were not finished the last time; raises what ended it all.

        With `wait`, only once there is something new, or it is time for a record of what was new before.
        """
        with self._news:
            if wait:
                self._news.wait_for(lambda: self._has_news, RECORD_EVERY_SECONDS)
            if self._trouble:
                raise self._trouble
            return self._take_spans()

    def take_last_news(self) -> list[Span]:
        """Return the same, after the end."""
        with self._news:
            return self._take_spans()

    def _take_spans(self) -> list[Span]:
        self._has_news = False
        self._fresh = 0
        spans = [(segment.start, segment.position) for segment in self._segments]
        self._segments = [segment for segment in self._segments if segment.position < segment.end]
        return spans

    def _tell(self) -> None:
        if not self._has_news:
            self._has_news = True
            self._news.notify()

    def _go_on(self) -> None:
        if self._is_over:
            raise _OverError

    def _stop(self, trouble: BaseException) -> None:
        self._trouble = self._trouble or trouble
        self._is_over = True
        self._work.notify_all()
        self._tell()


class _Connection(threading.Thread):
    """Brings one segment after the other."""

    def __init__(self, plan: _Plan, partial: PartialFile, origin: WebFile, version: Version) -> None:
        # A daemon, so that no server that never answers keeps an interrupted process from ending.
        super().__init__(daemon=True)
        self._plan = plan
        self._partial = partial
        self._origin = origin
        self._version = version
        self._segment: _Segment | None = None
        self._open_replies = ExitStack()
        self._pieces: Iterator[bytes | memoryview] = iter(())
        self._rest: bytes | memoryview = b""
        self._at: int | None = None
        self._until: int | None = None
        self._is_asking = False

    def take_over(self, reply: Reply, until: int) -> None:
        """Begin with a reply that is there already; it was asked for up to `until`."""
        self._segment = self._plan.claim(reply.start)
        self._read(reply, until)

    def run(self) -> None:
        """Bring segments until there are no more, or all is over."""
        try:
            with self._open_replies:
                self._bring_all()
        except _OverError:
            pass
        except BaseException as trouble:
            self._plan.fail(trouble)
        finally:
            self._origin.close()

    def _bring_all(self) -> None:
        failures = 0
        while True:
            segment = self._segment or self._plan.claim(self._at)
            self._segment = None
            begin = segment.position
            try:
                self._bring(segment)
                failures = 0
            except PassingError as trouble:
                failures = 1 if segment.position > begin else failures + 1
                self._at = None
                self._open_replies.close()
                self._plan.go_on()
                wait = pause(failures, trouble.retry_after)
                logger.warning("%s: %s; one connection less for %.0f s", self._origin.address, trouble, wait)
                self._plan.sit_out(segment, trouble, wait)

    def _bring(self, segment: _Segment) -> None:
        if self._at != segment.position:
            self._ask(segment)
        while segment.position < segment.end:
            piece = memoryview(self._rest or next(self._pieces, b""))
            if not piece:
                raise PassingError(f"the reply ended at byte {segment.position:,} of {segment.end:,}")
            count = self._partial.write(piece[: segment.end - segment.position], segment.position)
            self._rest = piece[count:]
            self._plan.advance(segment, count)
        # The reply to a question for one segment has nothing for the next.
        self._at = segment.end if self._until != segment.end else None

    def _ask(self, segment: _Segment) -> None:
        self._open_replies.close()
        self._is_asking = True
        reply = self._open_replies.enter_context(self._origin.open(segment.position, self._version, segment.end))
        self._plan.go_on(self._has_answer)
        if reply.version.joined_with(self._version) is None:
            raise PassingError("the file there is not the one that was begun: starting over", start_over=True)
        if reply.start != segment.position:
            # Of a server that sends ranges otherwise: some of its hosts, or some caches before it, may not.
            raise PassingError(f"the reply begins at byte {reply.start:,} in place of {segment.position:,}")
        self._read(reply, segment.end)

    def _has_answer(self) -> None:
        self._is_asking = False

    def _read(self, reply: Reply, until: int) -> None:
        self._open_replies.callback(reply.close)
        self._pieces = iter(reply.pieces)
        self._rest = b""
        self._at, self._until = reply.start, until

    def end(self) -> None:
        """Wait until the thread writes no more; the plan is over.

        A thread that has no answer yet cannot be woken. It ends at the time-out, and touches nothing before: it finds
        that all is over.
        """
        while self.is_alive():
            self._origin.hang_up()
            self.join(0.05)
            if self._is_asking:
                return
