"""How long work reports its progress, without knowing who shows it."""

from typing import Protocol


class Progress(Protocol):
    """A callback for progress. Calls may be frequent: the callback decides how often to show them."""

    def __call__(self, stage: str, done: int, total: int | None, unit: str) -> None:
        """Report progress.

        Parameters
        ----------
        stage : str
            What is being done, such as ``"downloading"``.
        done : int
            How much of it is done.
        total : int or None
            How much there is to do; None if that is not known yet.
        unit : str
            What `done` and `total` count: `BYTES`, or a plural such as ``"images"``, ``"files"``, ``"shards"``.
        """


BYTES = "B"
"""The unit of bytes."""


def no_progress(stage: str, done: int, total: int | None, unit: str) -> None:
    """Ignore progress; the default callback."""
