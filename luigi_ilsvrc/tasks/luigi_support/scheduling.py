"""Whether a worker is scheduling a command's tasks at the moment, and which builds it has met."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_met: set[Path] | None = None


@contextmanager
def scheduling() -> Iterator[None]:
    """Mark the time in which a worker looks through the tasks of a command and tells the scheduler of them."""
    global _met
    before, _met = _met, set()
    try:
        yield
    finally:
        _met = before


def is_first_of(data_dir: Path) -> bool:
    """Tell whether a command is being scheduled, and this call is its first one for the build in `data_dir`."""
    if _met is None or data_dir in _met:
        return False
    _met.add(data_dir)
    return True
