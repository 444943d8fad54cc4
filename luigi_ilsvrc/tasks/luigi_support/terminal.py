"""One line at the bottom of a terminal that changes, and a log above it."""

import logging
import os
import select
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

_ERASE = "\r\x1b[K"
"""To the first column, and erase to the end of the line (ECMA-48)."""

_COLUMNS = 80
_CUT = "..."


def is_terminal(stream: Any) -> bool:
    """Tell whether a stream goes to a terminal that can erase a line."""
    try:
        return bool(stream.isatty()) and os.environ.get("TERM", "dumb") != "dumb"
    except (AttributeError, ValueError):
        # There is none, it is closed, or it is a program's own.
        return False


def takes_more(stream: Any) -> bool:
    """Tell whether writing to a stream would not wait: a terminal may be stopped, and a pipe full."""
    try:
        return bool(select.select([], [stream.fileno()], [], 0)[1])
    except (AttributeError, ValueError, OSError):
        return True


class StatusLine:
    """Shows one line on the terminal, below the log; does nothing without a terminal.

    All processes of a build log to the same terminal. Each erases the line when it writes, in one piece with what it
    writes; only the worker's process shows the line, and shows it again.
    """

    def __init__(self) -> None:
        self.is_shown = is_terminal(sys.stderr)
        self._terminal = sys.stderr.fileno() if self.is_shown else -1
        self._handlers: list[logging.StreamHandler[Any]] = []

    def begin(self) -> None:
        """Let Luigi's log erase the line; processes that are forked from now on do so too."""
        if self.is_shown:
            for handler in _handlers():
                # A handler may have a stream of its own that cannot be set.
                with suppress(AttributeError):
                    handler.setStream(_ErasingStream(handler.stream))
                    self._handlers.append(handler)

    def show(self, text: str) -> None:
        """Show a text, cut to the width of the terminal, unless it is stopped or belongs to another job."""
        if self.is_shown:
            width = self._width()
            self._write(f"{_ERASE}{text if len(text) <= width else text[: width - len(_CUT)] + _CUT}")

    def end(self) -> None:
        """Erase the line, and leave the log as it was."""
        for handler in self._handlers:
            if isinstance(handler.stream, _ErasingStream):
                handler.setStream(handler.stream.stream)
        self._handlers = []
        if self.is_shown:
            self._write(_ERASE)

    def _width(self) -> int:
        try:
            columns = os.get_terminal_size(self._terminal).columns
        except OSError:
            columns = 0
        # Some terminals do not know it.
        return (columns or _COLUMNS) - 1

    def _write(self, text: str) -> None:
        # Not by the stream: it has a lock, which a process that is forked meanwhile would wait for.
        try:
            if os.tcgetpgrp(self._terminal) == os.getpgrp() and select.select([], [self._terminal], [], 0)[1]:
                os.write(self._terminal, text.encode())
        except OSError:
            # The terminal is gone.
            self.is_shown = False


class _ErasingStream:
    """Erases the line of the terminal before what a log handler writes to it."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def write(self, text: str) -> Any:
        return self.stream.write(f"{_ERASE}{text}")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def _handlers() -> "Iterator[logging.StreamHandler[Any]]":
    """Yield the handlers that write what Luigi logs to a terminal."""
    logger: logging.Logger | None = logging.getLogger("luigi-interface")
    while logger is not None:
        for handler in logger.handlers:
            if isinstance(handler, logging.StreamHandler) and is_terminal(handler.stream):
                yield handler
        logger = logger.parent if logger.propagate else None
