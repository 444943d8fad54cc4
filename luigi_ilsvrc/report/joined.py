"""Many small files as one, for pandas: a million lines are not in memory twice."""

import io
from collections.abc import Iterable
from typing import IO


class _Joined(io.RawIOBase):
    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts = iter(parts)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._rest:
            part = next(self._parts, None)
            if part is None:
                return 0
            self._rest = memoryview(part)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def joined(parts: Iterable[bytes]) -> IO[bytes]:
    """Return a file that holds parts, one after the other; each is taken when it is read."""
    return io.BufferedReader(_Joined(parts))
