"""The progress of a task, in the terminal, in the log and in the web view."""

import io
import logging
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import luigi

from luigi_ilsvrc.progress import BYTES

if TYPE_CHECKING:
    from tqdm import tqdm

logger = logging.getLogger("luigi-interface")

_SHOW_EVERY = 2.0
_LOG_EVERY = 30.0


class TaskProgress:
    """Shows the progress that a module reports; a `luigi_ilsvrc.progress.Progress` and a context manager.

    The web view gets percentage and status message every 2 s, the terminal a bar; if there is no terminal, the log
    gets a line every 30 s. A task that is done within 2 s shows nothing, and does not import tqdm.

    Parameters
    ----------
    task : luigi.Task
        The running task.
    """

    def __init__(self, task: luigi.Task) -> None:
        self._task = task
        self._counted: tuple[str, str] | None = None
        self._bar: tqdm[Any] | None = None
        self._next_show = time.monotonic() + _SHOW_EVERY
        self._next_log = time.monotonic() + _LOG_EVERY

    def __enter__(self) -> "TaskProgress":
        return self

    def __exit__(self, *exception: object) -> None:
        self._close_bar()

    def __call__(self, stage: str, done: int, total: int | None, unit: str) -> None:
        """Take note of progress."""
        now = time.monotonic()
        if now < self._next_show:
            return
        self._next_show = now + _SHOW_EVERY
        bar = self._bar_of(stage, done, total, unit)
        bar.total = total
        bar.update(done - bar.n)
        message = f"{stage}: {_meter(bar)}"
        self._tell_scheduler(message, done, total)
        if now >= self._next_log and not sys.stderr.isatty():
            self._next_log = now + _LOG_EVERY
            logger.info("%s %s", self._task.task_family, message)

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _tell_scheduler(self, message: str, done: int, total: int | None) -> None:
        # A worker sets these while it runs the task; without a worker there is no scheduler to tell.
        if self._task.set_status_message:
            self._task.set_status_message(message)
        if self._task.set_progress_percentage and total:
            self._task.set_progress_percentage(100 * done // total)

    def _bar_of(self, stage: str, done: int, total: int | None, unit: str) -> "tqdm[Any]":
        if self._bar is None or (stage, unit) != self._counted:
            self._close_bar()
            self._counted = stage, unit
            self._bar = _bar_class()(
                miniters=0,
                desc=f"{self._task.task_family} {stage}",
                total=total,
                initial=done,
                unit=unit if unit == BYTES else f" {unit}",
                unit_scale=unit == BYTES,
                leave=False,
                file=sys.stderr if sys.stderr.isatty() else io.StringIO(),
            )
        return self._bar


def _bar_class() -> "type[tqdm[Any]]":
    """Return tqdm with a lock of this process.

    Processes that are forked after the first use of tqdm's own lock share it: one that is killed while it holds the
    lock would stop the others.
    """
    from tqdm import tqdm

    # No monitor: it is a thread for each class, for bars that are told of every single step.
    return type("_Bar", (tqdm,), {"_lock": threading.RLock(), "monitor_interval": 0})


def _meter(bar: "tqdm[Any]") -> str:
    shape = "{n_fmt} of {total_fmt}{unit}, {rate_fmt}, {remaining} left" if bar.total else "{n_fmt}{unit}, {rate_fmt}"
    return str(bar.format_meter(**{**bar.format_dict, "bar_format": shape, "prefix": ""}))
