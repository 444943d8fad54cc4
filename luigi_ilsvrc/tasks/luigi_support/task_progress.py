"""The progress of a task: in the log, on its worker's terminal, and in the web view."""

import logging
import time

import luigi

from luigi_ilsvrc.progress import BYTES
from luigi_ilsvrc.tasks.luigi_support import task_notes
from luigi_ilsvrc.tasks.luigi_support.task_notes import Note
from luigi_ilsvrc.units import format_duration, format_size

logger = logging.getLogger("luigi-interface")

_SHOW_EVERY = 2.0
_LOG_EVERY = 30.0

_SMOOTHING = 0.3
"""The share of the newest rate in the one that is shown: tqdm's default."""


class TaskProgress:
    """Shows the progress that a module reports; a `luigi_ilsvrc.progress.Progress`.

    The web view gets percentage and status message every 2 s, and so does the worker, for its terminal; if it has
    none, the log gets a line every 30 s. A task that is done within 2 s shows nothing.

    Parameters
    ----------
    task : luigi.Task
        The running task.
    """

    def __init__(self, task: luigi.Task) -> None:
        self._task = task
        self._meter: _Meter | None = None
        self._next_show = time.monotonic() + _SHOW_EVERY
        self._next_log = time.monotonic() + _LOG_EVERY

    def __call__(self, stage: str, done: int, total: int | None, unit: str) -> None:
        """Take note of progress."""
        now = time.monotonic()
        if now < self._next_show:
            return
        self._next_show = now + _SHOW_EVERY
        if self._meter is None or (stage, unit) != (self._meter.stage, self._meter.unit):
            self._meter = _Meter(stage, unit)
        self._meter.update(done, total, now)
        self._tell_scheduler(str(self._meter), done, total)
        self._tell_worker(self._meter, now)

    def _tell_scheduler(self, message: str, done: int, total: int | None) -> None:
        # A worker sets these while it runs the task; without a worker there is no scheduler to tell.
        if self._task.set_status_message:
            self._task.set_status_message(message)
        if self._task.set_progress_percentage and total:
            self._task.set_progress_percentage(100 * done // total)

    def _tell_worker(self, meter: "_Meter", now: float) -> None:
        message = f"{self._task.task_family} {meter}"
        seconds_left = meter.seconds_left() if meter.unit == BYTES else None
        is_shown = task_notes.send(Note(self._task.task_id, message, meter.stage, seconds_left))
        if now >= self._next_log and not is_shown:
            self._next_log = now + _LOG_EVERY
            logger.info(message)


class _Meter:
    """How much of one stage is done, and how fast of late.

    As text: ``downloading: 1.20 GB of 6.74 GB, 85.0 MB/s, 1 min left``.
    """

    def __init__(self, stage: str, unit: str) -> None:
        self.stage = stage
        self.unit = unit
        self._done = 0
        self._total: int | None = None
        self._rate: float | None = None
        self._updated: float | None = None

    def update(self, done: int, total: int | None, now: float) -> None:
        """Take note of what is done at a time in seconds."""
        if self._updated is not None and now > self._updated:
            newest = (done - self._done) / (now - self._updated)
            self._rate = newest if self._rate is None else _SMOOTHING * newest + (1 - _SMOOTHING) * self._rate
        self._done, self._total, self._updated = done, total, now

    def seconds_left(self) -> float | None:
        """Return how long the rest will take, or None if nothing tells it."""
        return (self._total - self._done) / self._rate if self._rate and self._total is not None else None

    def __str__(self) -> str:
        done = self._amount(self._done)
        if self._total is not None:
            done = f"{done if self.unit == BYTES else f'{self._done:,}'} of {self._amount(self._total)}"
        rate = [f"{self._amount(self._rate)}/s"] if self._rate else []
        left = self.seconds_left()
        return f"{self.stage}: {', '.join([done, *rate, *([] if left is None else [f'{format_duration(left)} left'])])}"

    def _amount(self, number: float) -> str:
        return format_size(number) if self.unit == BYTES else f"{number:,.0f} {self.unit}"
