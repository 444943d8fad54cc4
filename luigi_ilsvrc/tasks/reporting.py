"""The progress of a task, in the terminal, in the log and in the web view."""

import io
import logging
import sys
import time
from typing import TYPE_CHECKING, Any

import luigi

if TYPE_CHECKING:
    from tqdm import tqdm

logger = logging.getLogger("luigi-interface")

_SHOW_EVERY = 2.0
_LOG_EVERY = 30.0


class TaskProgress:
    """Shows what a room tells of its progress; see `luigi_ilsvrc.progress.Progress`.

    The web view gets percentage and status message every 2 s, the terminal a bar; where there is no terminal, the log
    gets a line every 30 s. A task that is done within 2 s shows nothing, and does not pay for importing tqdm.

    Parameters
    ----------
    task : luigi.Task
        The running task.
    unit : str
        What is counted: ``B`` for bytes, ``images``, ``files``.
    """

    def __init__(self, task: luigi.Task, unit: str) -> None:
        self._task = task
        self._unit = unit
        self._stage = ""
        self._bar: tqdm[Any] | None = None
        self._next_show = time.monotonic() + _SHOW_EVERY
        self._next_log = time.monotonic() + _LOG_EVERY

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """Take note of progress."""
        now = time.monotonic()
        if now < self._next_show:
            return
        self._next_show = now + _SHOW_EVERY
        bar = self._bar_of(stage, done, total)
        bar.total = total
        bar.update(done - bar.n)
        message = f"{stage}: {_meter(bar)}"
        self._tell_scheduler(message, done, total)
        if now >= self._next_log and not sys.stderr.isatty():
            self._next_log = now + _LOG_EVERY
            logger.info("%s %s", self._task.task_family, message)

    def close(self) -> None:
        """Take the bar off the terminal."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _tell_scheduler(self, message: str, done: int, total: int | None) -> None:
        # A worker sets these for as long as it runs the task; without one there is no scheduler to tell.
        if self._task.set_status_message:
            self._task.set_status_message(message)
        if self._task.set_progress_percentage and total:
            self._task.set_progress_percentage(100 * done // total)

    def _bar_of(self, stage: str, done: int, total: int | None) -> "tqdm[Any]":
        from tqdm import tqdm

        if self._bar is None or stage != self._stage:
            self.close()
            self._stage = stage
            self._bar = tqdm(
                desc=f"{self._task.task_family} {stage}",
                total=total,
                initial=done,
                unit=self._unit if self._unit == "B" else f" {self._unit}",
                unit_scale=self._unit == "B",
                leave=False,
                file=sys.stderr if sys.stderr.isatty() else io.StringIO(),
            )
        return self._bar


def _meter(bar: "tqdm[Any]") -> str:
    shape = "{n_fmt} of {total_fmt}, {rate_fmt}, {remaining} left" if bar.total else "{n_fmt}, {rate_fmt}"
    return str(bar.format_meter(**{**bar.format_dict, "bar_format": shape, "prefix": ""}))
