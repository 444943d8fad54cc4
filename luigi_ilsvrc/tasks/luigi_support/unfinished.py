"""Which tasks a command will run, before a worker looks through them."""

from collections.abc import Iterator
from typing import TypeVar

import luigi
from luigi.task import flatten

T = TypeVar("T", bound=luigi.Task)


def unfinished_tasks(task: T, task_class: type[T]) -> Iterator[T]:
    """Yield a task that is not complete, and the tasks that it requires, directly or not, and that are not complete.

    Each comes before what it requires, and that before the next task: a few steps lead to a task without requirements.
    Those behind a complete task, or behind one that is not of a class, are left out. Tasks that are asked for as others
    run are not known yet.

    Parameters
    ----------
    task : luigi.Task
        Where to begin.
    task_class : type
        Of the tasks that are looked at.
    """
    waiting: list[luigi.Task] = [task]
    seen: set[str] = set()
    while waiting:
        current = waiting.pop()
        if current.task_id in seen or not isinstance(current, task_class):
            continue
        seen.add(current.task_id)
        if current is task or not _is_complete(current):
            yield current
            waiting += reversed(_required(current))


# Why a task cannot be looked at is said by the worker, which does the same after this.


def _required(task: luigi.Task) -> list[luigi.Task]:
    try:
        return list(flatten(task.requires()))
    except Exception:
        return []


def _is_complete(task: luigi.Task) -> bool:
    try:
        return bool(task.complete())
    except Exception:
        return True
