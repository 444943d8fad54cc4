"""What Luigi's log shows of a build.

Errors that a person can act on stand there as a sentence, and the warnings of the package's modules beside Luigi's own
lines; what Luigi says of each task does not.
"""

import logging
import re
from functools import cached_property
from typing import Any

import luigi
import luigi.worker
from luigi.rpc import RPCError

from luigi_ilsvrc.errors import BuildError

_luigi_logger = logging.getLogger("luigi-interface")

# Luigi logs an error in requires() or complete() as text with the traceback in it.
_TRACEBACK = re.compile(
    r"Traceback \(most recent call last\):\n.*^luigi_ilsvrc\.[\w.]+Error: ", re.DOTALL | re.MULTILINE
)
_ANY_TRACEBACK = "Traceback (most recent call last):"

_TASK_OF = {
    "Informed scheduler that task   %s   has status   %s": 0,
    "Did not schedule %s, will load it dynamically": 0,
    "[pid %s] Worker %s running   %s": 2,
    "[pid %s] Worker %s new requirements      %s": 2,
    "[pid %s] Worker %s done      %s": 2,
    "Checking if %s is complete": 0,
}
"""What Luigi's worker logs of each task, and which of the arguments is the task, or its id."""


def without_traceback(text: str) -> str:
    """Return the message alone of an exception whose traceback a text holds; other texts as they are."""
    reason = _TRACEBACK.split(text)
    if len(reason) > 1:
        return reason[-1].rstrip()
    return text.rstrip().rpartition("\n")[2] if _ANY_TRACEBACK in text else text


class LeaveOut(logging.Filter):
    """Leaves out what Luigi's worker says of each task of a class, and its lines at the level DEBUG.

    Parameters
    ----------
    task_class : type
        Of the tasks. What is said of each task of others stays.
    """

    def __init__(self, task_class: type[luigi.Task]) -> None:
        super().__init__()
        self._task_class = task_class

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record stays."""
        if record.pathname != luigi.worker.__file__ or not isinstance(record.args, tuple):
            return True
        place = _TASK_OF.get(record.msg)
        return record.levelno > logging.DEBUG if place is None else not self._is_ours(record.args[place])

    def _is_ours(self, task: Any) -> bool:
        if isinstance(task, luigi.Task):
            return isinstance(task, self._task_class)
        # An id begins with the task's family.
        return str(task).partition("_")[0] in self._families

    @cached_property
    def _families(self) -> set[str]:
        pending, found = [self._task_class], set()
        while pending:
            task_class = pending.pop()
            found.add(task_class.__name__)
            pending += task_class.__subclasses__()
        return found


def _without_traceback(record: logging.LogRecord) -> bool:
    message = record.getMessage()
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, (BuildError, RPCError)):
        record.exc_info = record.exc_text = None
        message = str(error) if message == "Uncaught exception in luigi" else f"{message}: {error}"
    if _TRACEBACK.search(message):
        # Luigi calls it a warning, though the task will not run; its own words before the reason name Luigi's methods.
        record.levelno, record.levelname = logging.ERROR, "ERROR"
        message = without_traceback(message)
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


def leave_out(task_class: type[luigi.Task]) -> None:
    """Leave out of Luigi's log what it says of each task of a class; see `LeaveOut`."""
    # First: the other filter replaces the message and the arguments that this one looks at.
    _luigi_logger.filters.insert(0, LeaveOut(task_class))
