"""One line at the bottom of a terminal that changes, and a log above it."""

import logging
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

_ERASE = "\r\x1b[K"
"""To the first column, and erase to the end of the line (ECMA-48)."""

_COLUMNS = 80


def is_terminal(stream: Any) -> bool:
    """Tell whether a stream goes to a terminal that can erase a line."""
    return stream is not None and stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


class StatusLine:
    """Shows one line on the terminal, below the log; does nothing without a terminal.

    All processes of a build log to the same terminal. Each erases the line when it writes, in one piece with what it
    writes; only the worker's process shows the line, and shows it again.
    """

    def __init__(self) -> None:
        self._stream: TextIO = sys.stderr
        self._handlers: list[logging.StreamHandler[Any]] = []
        self.is_shown = is_terminal(self._stream)

    def begin(self) -> None:
        """Let Luigi's log erase the line; processes that are forked from now on do so too."""
        if self.is_shown:
            self._handlers = [handler for handler in _handlers() if is_terminal(handler.stream)]
            for handler in self._handlers:
                handler.setStream(_ErasingStream(handler.stream))

    def show(self, text: str) -> None:
        """Show a text, cut to the width of the terminal."""
        if self.is_shown:
            width = self._width()
            self._write(f"{_ERASE}{text if len(text) <= width else text[: width - 1] + '…'}")

    def _width(self) -> int:
        try:
            columns = os.get_terminal_size(self._stream.fileno()).columns
        except OSError:
            columns = 0
        # Some terminals do not know it.
        return (columns or _COLUMNS) - 1

    def end(self) -> None:
        """Erase the line, and leave the log as it was."""
        for handler in self._handlers:
            if isinstance(handler.stream, _ErasingStream):
                handler.setStream(handler.stream.stream)
        if self._handlers:
            self._write(_ERASE)
        self._handlers = []

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            # The terminal is gone, or the stream was closed.
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
    """Yield the handlers that get what Luigi logs."""
    logger: logging.Logger | None = logging.getLogger("luigi-interface")
    while logger is not None:
        yield from (handler for handler in logger.handlers if isinstance(handler, logging.StreamHandler))
        logger = logger.parent if logger.propagate else None
