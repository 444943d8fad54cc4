"""What Luigi's log shows of a build: errors that a person can act on as a sentence, and the modules' warnings."""

import logging
import re

from luigi_ilsvrc.errors import BuildError

_luigi_logger = logging.getLogger("luigi-interface")

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
    reason = _TRACEBACK.split(message)
    if len(reason) > 1:
        # Luigi calls it a warning, though the task will not run; its own words before the reason name Luigi's methods.
        record.levelno, record.levelname = logging.ERROR, "ERROR"
        message = reason[-1].rstrip()
    record.msg, record.args = message, ()
    return True


class _ToLuigi(logging.Handler):
    """Passes on the records of the package's modules, which know nothing of Luigi."""

    def emit(self, record: logging.LogRecord) -> None:
        if _luigi_logger.isEnabledFor(record.levelno):
            _luigi_logger.handle(record)


_to_luigi = _ToLuigi()


def install() -> None:
    """Let Luigi's log show a `BuildError` by its message alone, and the modules' warnings beside its own.

    Other exceptions keep their traceback. Called when a task of the package is first made; further calls do nothing.
    """
    package_logger = logging.getLogger("luigi_ilsvrc")
    if _to_luigi not in package_logger.handlers:
        _luigi_logger.addFilter(_without_traceback)
        package_logger.addHandler(_to_luigi)
        package_logger.propagate = False
