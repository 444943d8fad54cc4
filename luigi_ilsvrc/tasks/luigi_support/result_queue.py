"""The results of a worker's child processes, on a queue that a killed child can neither lock nor garble."""

import os
import pickle
import queue
import socket
import time
from collections import deque
from contextlib import suppress
from multiprocessing import connection
from multiprocessing.queues import Queue
from typing import Any

from luigi.worker import Worker

_ID_SIZE = 8
_HEADER_SIZE = _ID_SIZE + 1
_LAST = b"\1"
_NOT_LAST = b"\0"
_MAX_CHUNK = 4096
"""A page: a record of this size is sent whatever the limits of the system's sockets are."""


class ResultQueue:
    """Takes the place of the `multiprocessing.Queue` that Luigi's children put their results on.

    That one is a pipe that all children share, and a lock. A child that is killed while it holds the lock leaves it
    locked, and the other children never end, as their results do not get out. One that is killed in the middle of a
    message leaves the worker to wait for the rest. This one has no lock: the kernel keeps the records of a
    ``SOCK_SEQPACKET`` socket whole and apart, so a record of a killed child is there or is not. A long result takes
    several records, which are put together by an id; if the last one does not come, nothing waits for it.

    Parameters
    ----------
    previous : multiprocessing.Queue
        What the worker used until now: children that run already put their results there, so it is read as well.

    Raises
    ------
    OSError
        If the system has no such sockets, as macOS.
    """

    def __init__(self, previous: "Queue[Any]") -> None:
        self._receiver, self._sender = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._previous = previous
        self._worker_pid = os.getpid()
        self._of_worker: deque[Any] = deque()
        self._incomplete: dict[bytes, list[bytes]] = {}

    def __getstate__(self) -> dict[str, Any]:
        # What a child needs that is not forked.
        return {"_sender": self._sender, "_worker_pid": self._worker_pid}

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Send an item to the worker; from a child, it has arrived when this returns."""
        if os.getpid() == self._worker_pid:
            # The worker is the one who reads: it would wait for itself if the socket was full.
            self._of_worker.append(item)
            return
        content = pickle.dumps(item)
        item_id = os.urandom(_ID_SIZE)
        for start in range(0, len(content), _MAX_CHUNK):
            is_last = _LAST if start + _MAX_CHUNK >= len(content) else _NOT_LAST
            self._sender.send(item_id + is_last + content[start : start + _MAX_CHUNK])

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Return the next item: what children have sent first, then what the worker has put itself.

        A result that a child sent before it was killed so comes before the worker's note that the child is dead.

        Raises
        ------
        queue.Empty
            If there is none within `timeout` seconds.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            ready = self._wait(block and not self._of_worker, deadline)
            if self._receiver in ready:
                item = self._receive()
                if item is not None:
                    return pickle.loads(item)
            elif ready:
                return self._previous.get(block=False)
            elif self._of_worker:
                return self._of_worker.popleft()
            else:
                raise queue.Empty

    def close(self) -> None:
        """Close both ends, and the queue that was used before."""
        self._receiver.close()
        self._sender.close()
        self._previous.close()

    def _wait(self, block: bool, deadline: float | None) -> list[Any]:
        seconds: float | None = 0
        if block:
            seconds = None if deadline is None else max(0, deadline - time.monotonic())
        previous: connection.Connection = self._previous._reader  # type: ignore[attr-defined]
        return connection.wait([self._receiver, previous], seconds)

    def _receive(self) -> bytes | None:
        """Read one record; return the content of the item that it completes, if it does."""
        record = self._receiver.recv(_HEADER_SIZE + _MAX_CHUNK)
        item_id, is_last = record[:_ID_SIZE], record[_ID_SIZE:_HEADER_SIZE]
        chunks = self._incomplete.setdefault(item_id, [])
        chunks.append(record[_HEADER_SIZE:])
        return b"".join(self._incomplete.pop(item_id)) if is_last == _LAST else None


def use_result_queue(worker: Worker) -> None:
    """Let the processes that a worker starts from now on report on a `ResultQueue`, if the system has what it needs."""
    if isinstance(worker._task_result_queue, Queue):
        with suppress(OSError):
            worker._task_result_queue = ResultQueue(worker._task_result_queue)  # type: ignore[assignment]
