"""How long work reports its progress, without knowing who shows it; sizes and times as people read them."""

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


_LARGEST_PREFIX = "P"


def in_words(seconds: float) -> str:
    """Return a time as people say it: ``40 s``, ``12 min``, ``2 h 10 min``."""
    if seconds < 59.5:
        return f"{max(0.0, seconds):.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def with_prefix(size: float) -> str:
    """Return a number of bytes with three digits or more: ``512 B``, ``1.25 MB``, ``41.2 GB``, ``148 GB``.

    The prefixes are decimal: 1 GB is 10**9 bytes.
    """
    if size < 999.5:
        return f"{size:.0f} B"
    for prefix in "kMGTP":
        size /= 1000
        if size < 999.5 or prefix == _LARGEST_PREFIX:
            break
    decimals = 2 if size < 9.995 else 1 if size < 99.95 else 0
    return f"{size:.{decimals}f} {prefix}B"
