"""Errors that a person can act on, logged as a sentence: without the traceback that Luigi adds."""

import logging
import re

from luigi_ilsvrc.errors import BuildError

# Luigi logs an error in requires() or complete() as text with the traceback in it.
_TRACEBACK = re.compile(
    r"Traceback \(most recent call last\):\n.*^luigi_ilsvrc\.[\w.]+Error: ", re.DOTALL | re.MULTILINE
)


def _without_traceback(record: logging.LogRecord) -> bool:
    message = record.getMessage()
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, BuildError):
        record.exc_info = record.exc_text = None
        message = str(error) if message == "Uncaught exception in luigi" else f"{message}: {error}"
    record.msg, record.args = _TRACEBACK.sub("", message), ()
    return True


def install() -> None:
    """Let Luigi's log show a `BuildError` by its message alone; other exceptions keep their traceback."""
    logging.getLogger("luigi-interface").addFilter(_without_traceback)
