"""What Luigi's log shows of a build.

Errors that a person can act on stand there as a sentence, and the warnings of the package's modules beside Luigi's own
lines; what Luigi says of each task does not.
"""

import logging
import re
from contextlib import suppress
from functools import cache
from typing import Any

import luigi
import luigi.worker
from luigi.rpc import RPCError
from luigi.task_register import Register, TaskClassException

from luigi_ilsvrc.errors import BuildError

_luigi_logger = logging.getLogger("luigi-interface")

# Luigi logs an error in requires() or complete() as text with the traceback in it.
_TRACEBACK = re.compile(
    r"Traceback \(most recent call last\):\n.*^luigi_ilsvrc\.[\w.]+Error: ", re.DOTALL | re.MULTILINE
)
_ANY_TRACEBACK = "Traceback (most recent call last):"
_FRAMES = re.compile(r"\n(?:  .*\n)*")

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
    _, is_one, frames = text.rpartition(_ANY_TRACEBACK)
    # Behind the frames, which are indented, comes the exception, which may have several lines.
    return _FRAMES.sub("", frames.rstrip(), count=1) if is_one else text


class LeaveOut(logging.Filter):
    """Leaves out what Luigi's worker says of each task of a class, and its lines at the level DEBUG.

    Parameters
    ----------
    task_class : type
        Of the tasks. What is said of each task of others stays.
    """

    def __init__(self, task_class: type[luigi.Task]) -> None:
        super().__init__()
        self._is_ours_by_id = cache(self._is_id_of_ours)
        self._task_class = task_class

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record stays."""
        if record.pathname != luigi.worker.__file__ or not isinstance(record.args, tuple):
            return True
        place = _TASK_OF.get(record.msg)
        return record.levelno > logging.DEBUG if place is None else not self._is_ours(record.args[place])

    def _is_ours(self, task: Any) -> bool:
        return isinstance(task, self._task_class) if isinstance(task, luigi.Task) else self._is_ours_by_id(str(task))

    def _is_id_of_ours(self, task_id: str) -> bool:
        # An id begins with the task's family, which may have a _ itself.
        families = [family for family in Register.task_names() if task_id.startswith(f"{family}_")]
        # Two classes of somebody else's may have one name, of which Luigi gives none.
        with suppress(TaskClassException):
            return bool(families) and issubclass(Register.get_task_cls(max(families, key=len)), self._task_class)
        return False


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


def leave_out(task_class: type[luigi.Task], *, is_wanted: bool) -> None:
    """Leave out of Luigi's log what it says of each task of a class, or no longer; see `LeaveOut`."""
    others = [it for it in _luigi_logger.filters if not isinstance(it, LeaveOut)]
    # First: the other filter replaces the message and the arguments that this one looks at.
    _luigi_logger.filters[:] = [LeaveOut(task_class), *others] if is_wanted else others
