"""How much of what a command has asked for is done, and how long the rest will take."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import luigi
from luigi.task import flatten

from luigi_ilsvrc.errors import BuildError
from luigi_ilsvrc.units import format_duration, format_size

_WINDOW = 600.0
"""Seconds over which it is measured how fast tasks are done."""

_SHORTEST_WINDOW = 5.0


class Counts(NamedTuple):
    """What is done of something, and how much there is."""

    done: int
    total: int

    def __str__(self) -> str:
        return f"{self.done:,} of {self.total:,}"


class Overall(NamedTuple):
    """What is done of a command.

    Attributes
    ----------
    tasks : Counts
        All tasks.
    kinds : dict
        Those of the kinds that are counted apart, such as synsets.
    size : int
        Bytes of what the tasks have made, but for archives.
    """

    tasks: Counts
    kinds: dict[str, Counts]
    size: int

    def __str__(self) -> str:
        kinds = [f"{kind} {counts}" for kind, counts in self.kinds.items()]
        return "; ".join([f"{self.tasks} tasks", *kinds, *([format_size(self.size)] if self.size else [])])


class OverallProgress:
    """Counts what is done by what is there, whichever host has made it.

    Luigi's scheduler counts too, but not the tasks of a wrapper that was complete, and one that is restarted forgets.
    Tasks are asked here alone: `count` takes no lock that a process which is forked meanwhile would wait for.

    Parameters
    ----------
    tasks : iterable of luigi.Task
        What a worker has scheduled.
    task_class : type
        Of the tasks that are counted.
    former : OverallProgress, optional
        What was counted before there were more tasks: what it has read need not be read again.
    """

    def __init__(
        self,
        tasks: Iterable[luigi.Task],
        task_class: type[luigi.Task],
        former: "OverallProgress | None" = None,
    ) -> None:
        self._task_class = task_class
        self._kinds: dict[str, str] = {}
        self._required: dict[str, list[str]] = {}
        self._outputs: dict[Path, dict[str, str]] = {}
        self._size_readers: dict[str, Callable[[], int]] = {}
        self._sizes: dict[str, int] = former._sizes if former is not None else {}
        pending: list[Any] = list(reversed(list(tasks)))
        while pending:
            task = pending.pop()
            if isinstance(task, task_class) and task.task_id not in self._kinds:
                pending += reversed(self._add(task))

    def _add(self, task: Any) -> list[luigi.Task]:
        """Take note of a task; return those that it stands for.

        Luigi schedules nothing of a wrapper that is complete.
        """
        kind: str = task.counted_as
        if isinstance(task, luigi.WrapperTask):
            self._kinds[task.task_id] = kind
            required = [it for it in flatten(task.requires()) if isinstance(it, self._task_class)]
            self._required[task.task_id] = [it.task_id for it in required]
            return required
        outputs = [target for target in flatten(task.output()) if isinstance(target, luigi.LocalTarget)]
        if not outputs:
            return []
        self._kinds[task.task_id] = kind
        path = Path(outputs[0].path)
        self._outputs.setdefault(path.parent, {})[path.name] = task.task_id
        reader = task.size_reader()
        if reader is not None:
            self._size_readers[task.task_id] = reader
        return []

    def __len__(self) -> int:
        return len(self._kinds)

    def outermost(self) -> set[str]:
        """Return the ids of the wrappers that no other wrapper requires."""
        return self._required.keys() - {task_id for required in self._required.values() for task_id in required}

    def count(self) -> Overall:
        """Look what is there."""
        done = set(self._made())
        done |= {task_id for task_id in self._required if self._is_done(task_id, done)}
        kinds: dict[str, Counts] = {}
        for task_id, kind in self._kinds.items():
            if kind:
                before = kinds.get(kind, Counts(0, 0))
                kinds[kind] = Counts(before.done + (task_id in done), before.total + 1)
        return Overall(Counts(len(done), len(self._kinds)), kinds, self._size(done))

    def _made(self) -> Iterator[str]:
        for folder, by_name in self._outputs.items():
            with suppress(OSError):
                yield from (by_name[name] for name in by_name.keys() & set(os.listdir(folder)))

    def _is_done(self, task_id: str, done: set[str]) -> bool:
        required = self._required.get(task_id)
        return task_id in done if required is None else all(self._is_done(it, done) for it in required)

    def _size(self, done: set[str]) -> int:
        for task_id in done & self._size_readers.keys() - self._sizes.keys():
            with suppress(OSError, BuildError):
                self._sizes[task_id] = self._size_readers[task_id]()
        return sum(self._sizes.get(task_id, 0) for task_id in done)


class TimeLeft:
    """Estimates how long a command will take, by how fast tasks of the kinds that are counted apart are done."""

    def __init__(self) -> None:
        self._history: deque[tuple[float, int]] = deque()

    def estimate(self, now: float, kinds: Mapping[str, Counts], waits_for_bytes: bool) -> str:
        """Return the time left in words; empty if nothing tells it.

        Parameters
        ----------
        now : float
            The present time by any clock that does not go back, in seconds.
        kinds : mapping
            The kinds, as `Overall` has them.
        waits_for_bytes : bool
            A download or the like is going on, and the others may have to wait for it.
        """
        done, total = (sum(values) for values in zip(*kinds.values(), strict=True)) if kinds else (0, 0)
        if waits_for_bytes:
            self._history.clear()
            return ""
        self._history.append((now, done))
        while now - self._history[0][0] > _WINDOW:
            self._history.popleft()
        begun, before = self._history[0]
        if done <= before or now - begun < _SHORTEST_WINDOW or done == total:
            return ""
        return f"{format_duration((total - done) * (now - begun) / (done - before))} left"
