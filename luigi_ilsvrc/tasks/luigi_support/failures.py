"""Why tasks have failed: for the end of the log, and for the web view, whose box does not wrap lines."""

import json

import luigi
from luigi.task_status import FAILED, UNKNOWN

from luigi_ilsvrc.errors import MAX_SHOWN
from luigi_ilsvrc.tasks.luigi_support.logs import without_traceback

_WIDTH = 66
"""Columns of the web view's box: 68 fit in a window of 1400 pixels, with the fonts of Debian's Chromium."""

_SOFT_BREAK = " \n"

_MAX_LINES = MAX_SHOWN + 1
"""Of a list of reasons, with the line that counts the others."""


def wrap(text: str) -> str:
    """Break lines at spaces, so that the web view's box shows all but long words; the spaces stay. See `unwrap`."""
    return "\n".join(_wrap_line(line) for line in text.split("\n"))


def _wrap_line(line: str) -> str:
    indent = line[: len(line) - len(line.lstrip())]
    first, *words = line.split(" ")
    lines = [first]
    for word in words:
        if word and lines[-1].strip() and len(f"{lines[-1]} {word}") > _WIDTH:
            lines.append(f"{indent}{word}")
        else:
            lines[-1] += f" {word}"
    return _SOFT_BREAK.join(lines)


def unwrap(text: str) -> str:
    """Return a text as it was before `wrap`."""
    first, *rest = text.split(_SOFT_BREAK)
    return " ".join([first, *(line.lstrip() for line in rest)])


def encode(explanation: str) -> str:
    """Return an explanation as Luigi's scheduler keeps it, wrapped."""
    return json.dumps(wrap(explanation))


def decode(explanation: str | None) -> str:
    """Return an explanation that `encode` made, or that Luigi itself has made of a text."""
    return unwrap(read(explanation))


def read(explanation: str | None) -> str:
    """Return an explanation that Luigi has made of a text, as JSON or as it is."""
    try:
        return str(json.loads(explanation or ""))
    except ValueError:
        return str(explanation or "")


def name_of(task: luigi.Task) -> str:
    """Return a short name: of a task of the package what tells it apart, of another one its family."""
    return str(getattr(task, "short_name", task.task_family))


class Failures:
    """The tasks of a command that have failed, and why."""

    def __init__(self) -> None:
        self._reasons: dict[luigi.Task, str] = {}

    def note(self, task: luigi.Task, status: str, explanation: str) -> None:
        """Take note of a status that a task has got now; a task that is run again has not failed."""
        if status == FAILED:
            self._reasons[task] = explanation
        elif status != UNKNOWN:
            self._reasons.pop(task, None)

    def reason(self, task: luigi.Task) -> str | None:
        """Return why a task has failed; None if it has not."""
        return self._reasons.get(task)

    def clear(self) -> None:
        """Forget all: other workers have made what had failed here."""
        self._reasons.clear()

    def lines(self) -> list[str]:
        """Return one text for each of the first ten, and one for the rest."""
        texts = [f"{name_of(task)}: {_shortened(reason)}" for task, reason in self._reasons.items()]
        more = len(texts) - MAX_SHOWN
        return [*texts[:MAX_SHOWN], *([f"{more} more tasks have failed: see above"] if more > 0 else [])]


def _shortened(reason: str) -> str:
    """Return the message of an exception without its traceback, and a list without its end."""
    first, *rest = without_traceback(reason).splitlines() or ["for no known reason"]
    more = f"and {len(rest) - _MAX_LINES} more lines: see above"
    return "\n".join([first, *rest[:_MAX_LINES], *([f"  {more}"] if len(rest) > _MAX_LINES else [])])
