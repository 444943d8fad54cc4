"""How far a command is, or what an assistant does: in the log, on the terminal, and in the web view."""

import logging
import sys
import threading
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any, Protocol

import luigi
from luigi.task_status import DONE
from luigi.worker import Worker, fork_lock

from luigi_ilsvrc.tasks.luigi_support import task_notes
from luigi_ilsvrc.tasks.luigi_support.overall_progress import Counts, OverallProgress, TimeLeft
from luigi_ilsvrc.tasks.luigi_support.scheduler_link import NO_ANSWER, is_remote, without_retries
from luigi_ilsvrc.tasks.luigi_support.task_notes import Note, NoteBox
from luigi_ilsvrc.tasks.luigi_support.terminal import StatusLine, takes_more
from luigi_ilsvrc.units import format_duration

_SHOW_EVERY = 1.0
_COUNT_EVERY = 5.0
_LOG_EVERY = 30.0

_LONGEST_END = 5.0
"""Seconds that the end waits for what is being asked or shown."""

_LARGEST_SHARE = 0.05
"""Of the time, that counting takes at most: on a file server that answers slowly, it is done less often."""

Notes = Mapping[str, Note]
"""The newest note of each running task, by its id."""

logger = logging.getLogger("luigi-interface")


class ProgressLine(Protocol):
    """Says in one line how far a worker is."""

    def __call__(self, now: float, notes: Notes) -> str:
        """Return the line, at a time by `time.monotonic`; empty if there is nothing to say."""


class BuildDisplay:
    """Shows from a thread how far a worker is.

    The log gets a line every 30 s. The terminal shows what the running tasks report, and the line if they report
    nothing. Whatever takes a lock is done under Luigi's own `fork_lock`: a process that is forked while this thread
    holds another lock would wait for that one for ever. What may take long is not: Luigi's signs of life need it too.

    Parameters
    ----------
    worker : Worker
        The worker.
    line : callable
        Says how far it is.
    """

    def __init__(self, worker: Worker, line: ProgressLine) -> None:
        self._worker = worker
        self._line_of = line
        self._line = ""
        self._status = StatusLine()
        self._box = NoteBox(self._status.is_shown)
        self._notes: dict[str, Note] = {}
        self._next_count = time.monotonic() + _COUNT_EVERY
        self._next_log = time.monotonic() + _LOG_EVERY
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._show, daemon=True)

    def begin(self) -> None:
        """Show it from now on."""
        self._status.begin()
        task_notes.use(self._box)
        self._thread.start()

    def end(self) -> None:
        """Show it no longer."""
        self._end.set()
        self._thread.join(_LONGEST_END)
        task_notes.use(None)
        self._box.close()
        self._status.end()

    def _show(self) -> None:
        while not self._end.wait(_SHOW_EVERY):
            # Whatever happens, a build does not depend on it, and the next line may be good.
            with suppress(Exception):
                self._take_notes()
                self._take_line(time.monotonic())
                self._status.show(" | ".join(note.message for note in self._notes.values()) or self._line)

    def _take_notes(self) -> None:
        self._notes |= {note.task_id: note for note in self._box.receive()}
        running = self._worker._running_tasks
        self._notes = {task_id: note for task_id, note in self._notes.items() if task_id in running}

    def _take_line(self, now: float) -> None:
        if now < self._next_count:
            return
        self._line = ""
        try:
            self._line = self._line_of(now, self._notes)
        finally:
            self._next_count = now + max(_COUNT_EVERY, (time.monotonic() - now) / _LARGEST_SHARE)
        if now >= self._next_log and self._line and takes_more(sys.stderr):
            self._next_log = now + _LOG_EVERY
            with fork_lock:
                logger.info(self._line)


class CommandProgress:
    """Says how far a command is, and how long the rest will take; tells the web view, too.

    Parameters
    ----------
    worker : Worker
        The worker.
    task_class : type
        Of the tasks that are counted.
    commands : collection of luigi.Task
        What the worker was asked for: in the web view, the line is the message of those that are of this class; if
        none is, that of the wrappers which stand for all others.
    """

    def __init__(self, worker: Worker, task_class: type[luigi.Task], commands: Collection[luigi.Task]) -> None:
        self._worker = worker
        self._task_class = task_class
        self._shown_at = {command.task_id for command in commands if isinstance(command, task_class)}
        self._scheduler = without_retries(worker._scheduler)
        self._progress = OverallProgress([], task_class)
        self._scheduled = 0
        self._time_left = TimeLeft()

    def __call__(self, now: float, notes: Notes) -> str:
        """Return the line; empty if there is one task only, or nothing left to do. Raises OSError or a `BuildError`."""
        self._take_tasks()
        overall = self._progress.count()
        if len(self._progress) == 1 or overall.tasks.done == overall.tasks.total:
            return ""
        line = "; ".join(filter(None, [str(overall), self._left(now, overall.kinds, notes)]))
        self._tell_scheduler(line, overall.tasks)
        return line

    def _take_tasks(self) -> None:
        """Take note of the tasks that the worker has scheduled; tasks that run may have asked for more."""
        scheduled = list(self._worker._scheduled_tasks.values())
        if len(scheduled) != self._scheduled:
            self._scheduled = len(scheduled)
            with fork_lock:
                self._progress = OverallProgress(scheduled, self._task_class, self._progress)
            self._shown_at = self._shown_at or self._progress.outermost()

    def _left(self, now: float, kinds: Mapping[str, Counts], notes: Notes) -> str:
        in_bytes = [(note.seconds_left, note.stage) for note in notes.values() if note.seconds_left is not None]
        left = self._time_left.estimate(now, kinds, waits_for_bytes=bool(in_bytes))
        if not in_bytes:
            return left
        seconds, stage = max(in_bytes)
        return f"{stage}: {format_duration(seconds)} left"

    def _tell_scheduler(self, line: str, tasks: Counts) -> None:
        if not is_remote(self._scheduler):
            return
        percentage = 100 * tasks.done // tasks.total
        # One that runs has a message of its own.
        with suppress(*NO_ANSWER), fork_lock:
            for task_id in self._shown_at - self._worker._running_tasks.keys():
                self._scheduler.set_task_status_message(task_id=task_id, status_message=line)
                self._scheduler.set_task_progress_percentage(task_id=task_id, progress_percentage=percentage)


class AssistantProgress:
    """Says what an assistant has done, and what it runs.

    Parameters
    ----------
    worker : Worker
        The assistant.
    task_class : type
        Of the tasks that are counted.
    """

    def __init__(self, worker: Worker, task_class: type[luigi.Task]) -> None:
        self._worker = worker
        self._task_class = task_class

    def __call__(self, now: float, notes: Notes) -> str:
        """Return the line; empty if nothing runs."""
        tasks: list[Any] = [self._worker._scheduled_tasks.get(task_id) for task_id in list(self._worker._running_tasks)]
        running: list[str] = [task.short_name for task in tasks if self._is_ours(task)]
        done = sum(status == DONE and self._is_ours(task) for task, status, _ in list(self._worker._add_task_history))
        return f"{done:,} tasks are done here; running: {', '.join(running)}" if running else ""

    def _is_ours(self, task: Any) -> bool:
        return isinstance(task, self._task_class)
