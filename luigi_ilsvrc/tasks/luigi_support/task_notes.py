"""Notes that running tasks send to the process of their worker, which shows them."""

import pickle
import socket
from contextlib import suppress
from typing import NamedTuple

_MAX_SIZE = 4096


class Note(NamedTuple):
    """How far a running task is.

    Attributes
    ----------
    task_id : str
        The task.
    message : str
        The task's family and its progress, for people.
    stage : str
        What it is doing, such as downloading.
    seconds_left : float or None
        How long it will take, if it counts bytes and that is known.
    """

    task_id: str
    message: str
    stage: str
    seconds_left: float | None


class NoteBox:
    """Takes notes from the tasks of one worker, in its own process and in those that are forked from it.

    Sending never waits: a note that does not fit is dropped, as a newer one follows.

    Parameters
    ----------
    are_shown : bool
        Whether the worker shows each note on a terminal.
    """

    def __init__(self, are_shown: bool) -> None:
        self.are_shown = are_shown
        self._receiver, self._sender = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._receiver.setblocking(False)
        self._sender.setblocking(False)

    def send(self, note: Note) -> None:
        """Send a note to the worker."""
        with suppress(OSError):
            self._sender.send(pickle.dumps(tuple(note)))

    def receive(self) -> list[Note]:
        """Return the notes that have come since the last call."""
        notes = []
        with suppress(OSError):
            while True:
                notes.append(Note(*pickle.loads(self._receiver.recv(_MAX_SIZE))))
        return notes

    def close(self) -> None:
        """Close it."""
        self._receiver.close()
        self._sender.close()


_box: NoteBox | None = None


def use(box: NoteBox | None) -> None:
    """Let the tasks of this process, and of those that are forked from it, send their notes there."""
    global _box
    _box = box


def send(note: Note) -> bool:
    """Send a note to the worker, if it takes any; tell whether it shows them."""
    if _box is None:
        return False
    _box.send(note)
    return _box.are_shown
