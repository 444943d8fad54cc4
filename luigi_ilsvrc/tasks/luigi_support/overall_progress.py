"""How much of what a command has asked for is done, and how long the rest will take."""

import os
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import luigi
from luigi.task import flatten

from luigi_ilsvrc.progress import in_words, with_prefix

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
        Bytes of the data set that are on the disk.
    """

    tasks: Counts
    kinds: dict[str, Counts]
    size: int

    def __str__(self) -> str:
        kinds = [f"{kind} {counts}" for kind, counts in self.kinds.items()]
        return "; ".join([f"{self.tasks} tasks", *kinds, *([with_prefix(self.size)] if self.size else [])])


class OverallProgress:
    """Counts what is done by what is there, whichever host has made it.

    Luigi's scheduler counts too, but not the tasks of a wrapper that was complete, and one that is restarted forgets.

    Parameters
    ----------
    tasks : iterable of luigi.Task
        Tasks of the package that a worker has scheduled.
    """

    def __init__(self, tasks: Iterable[luigi.Task]) -> None:
        self._tasks: dict[str, Any] = {task.task_id: task for task in tasks}
        self._required: dict[str, list[str]] = {}
        for wrapper in [task for task in self._tasks.values() if isinstance(task, luigi.WrapperTask)]:
            # Luigi schedules nothing of a wrapper that is complete.
            required = {task.task_id: task for task in flatten(wrapper.requires())}
            self._required[wrapper.task_id] = list(required)
            self._tasks |= required
        self._outputs: dict[Path, dict[str, list[str]]] = {}
        for task_id in self._tasks.keys() - self._required.keys():
            path = Path(self._tasks[task_id].output().path)
            self._outputs.setdefault(path.parent, {}).setdefault(path.name, []).append(task_id)
        self._sizes: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._tasks)

    def count(self) -> Overall:
        """Look what is there."""
        done = set(self._made())
        done |= {task_id for task_id in self._required if self._is_done(task_id, done)}
        kinds: dict[str, Counts] = {}
        for task_id, task in self._tasks.items():
            if task.counted_as:
                before = kinds.get(task.counted_as, Counts(0, 0))
                kinds[task.counted_as] = Counts(before.done + (task_id in done), before.total + 1)
        return Overall(Counts(len(done), len(self._tasks)), dict(sorted(kinds.items(), reverse=True)), self._size(done))

    def _made(self) -> Iterator[str]:
        for folder, by_name in self._outputs.items():
            with suppress(OSError):
                for name in by_name.keys() & set(os.listdir(folder)):
                    yield from by_name[name]

    def _is_done(self, task_id: str, done: set[str]) -> bool:
        required = self._required.get(task_id)
        return task_id in done if required is None else all(self._is_done(it, done) for it in required)

    def _size(self, done: set[str]) -> int:
        for task_id in done - self._sizes.keys():
            self._sizes[task_id] = self._tasks[task_id].bytes_made()
        unfinished = (task.bytes_begun() for task_id, task in self._tasks.items() if task_id not in done)
        return sum(self._sizes[task_id] for task_id in done) + sum(unfinished)


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
        return f"{in_words((total - done) * (now - begun) / (done - before))} left"
