"""A download under way: what one connection and several have in common."""

import random
from dataclasses import dataclass

from luigi_ilsvrc.download.partial_file import PartialFile
from luigi_ilsvrc.download.source import Source
from luigi_ilsvrc.progress import BYTES, Progress

MAX_BACKOFF = 300.0
"""Seconds between two attempts at most, whatever a server's Retry-After asks for."""

FILE_CHANGED = "the file at the source has changed: starting over"
"""The reason of the `TransientError` for bytes of another version."""


@dataclass(frozen=True)
class Transfer:
    """A download under way.

    Attributes
    ----------
    origin : Source
        Where the bytes come from.
    partial : PartialFile
        Where they go.
    connections : int
        How many connections may be used.
    progress : Progress
        Called from the thread of `download` only.
    """

    origin: Source
    partial: PartialFile
    connections: int
    progress: Progress

    def report(self) -> None:
        """Report how many bytes are held."""
        version = self.partial.version
        self.progress("downloading", self.partial.bytes_held, version.total if version else None, BYTES)


def backoff_delay(failures: int, retry_after: float | None) -> float:
    """Return how many seconds to wait before the next attempt.

    Parameters
    ----------
    failures : int
        Failed attempts in a row; each doubles the delay, which is randomized.
    retry_after : float or None
        Seconds that the source asked for, if it did.
    """
    if retry_after is not None:
        return min(retry_after, MAX_BACKOFF)
    return min(2.0**failures, MAX_BACKOFF) * random.uniform(0.5, 1)
