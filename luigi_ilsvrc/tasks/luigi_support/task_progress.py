"""The progress of a task: in the log, on its worker's terminal, and in the web view."""

import io
import logging
import threading
import time
from typing import TYPE_CHECKING, Any

import luigi

from luigi_ilsvrc.progress import BYTES, in_words, with_prefix
from luigi_ilsvrc.tasks.luigi_support import task_notes
from luigi_ilsvrc.tasks.luigi_support.task_notes import Note

if TYPE_CHECKING:
    from tqdm import tqdm

logger = logging.getLogger("luigi-interface")

_SHOW_EVERY = 2.0
_LOG_EVERY = 30.0
_SHORTEST = 1e-6


class TaskProgress:
    """Shows the progress that a module reports; a `luigi_ilsvrc.progress.Progress` and a context manager.

    The web view gets percentage and status message every 2 s, and so does the worker, for its terminal; if it has
    none, the log gets a line every 30 s. A task that is done within 2 s shows nothing, and does not import tqdm.

    Parameters
    ----------
    task : luigi.Task
        The running task.
    """

    def __init__(self, task: luigi.Task) -> None:
        self._task = task
        self._counted: tuple[str, str] | None = None
        self._meter: tqdm[Any] | None = None
        self._next_show = time.monotonic() + _SHOW_EVERY
        self._next_log = time.monotonic() + _LOG_EVERY

    def __enter__(self) -> "TaskProgress":
        return self

    def __exit__(self, *exception: object) -> None:
        self._close_meter()

    def __call__(self, stage: str, done: int, total: int | None, unit: str) -> None:
        """Take note of progress."""
        now = time.monotonic()
        if now < self._next_show:
            return
        self._next_show = now + _SHOW_EVERY
        meter = self._meter_of(stage, done, total, unit)
        meter.total = total
        meter.update(done - meter.n)
        message = f"{stage}: {_read(meter)}"
        self._tell_scheduler(message, done, total)
        self._tell_worker(message, stage, _seconds_left(meter) if unit == BYTES else None, now)

    def _close_meter(self) -> None:
        if self._meter is not None:
            self._meter.close()
            self._meter = None

    def _tell_scheduler(self, message: str, done: int, total: int | None) -> None:
        # A worker sets these while it runs the task; without a worker there is no scheduler to tell.
        if self._task.set_status_message:
            self._task.set_status_message(message)
        if self._task.set_progress_percentage and total:
            self._task.set_progress_percentage(100 * done // total)

    def _tell_worker(self, message: str, stage: str, seconds_left: float | None, now: float) -> None:
        message = f"{self._task.task_family} {message}"
        is_shown = task_notes.send(Note(self._task.task_id, message, stage, seconds_left))
        if now >= self._next_log and not is_shown:
            self._next_log = now + _LOG_EVERY
            logger.info(message)

    def _meter_of(self, stage: str, done: int, total: int | None, unit: str) -> "tqdm[Any]":
        if self._meter is None or (stage, unit) != self._counted:
            self._close_meter()
            self._counted = stage, unit
            self._meter = _meter_class()(
                miniters=0,
                total=total,
                initial=done,
                unit=unit,
                file=io.StringIO(),
            )
        return self._meter


def _meter_class() -> "type[tqdm[Any]]":
    """Return tqdm with a lock of this process.

    Processes that are forked after the first use of tqdm's own lock share it: one that is killed while it holds the
    lock would stop the others.
    """
    from tqdm import tqdm

    # No monitor: it is a thread for each class, for bars that are told of every single step.
    return type("_Meter", (tqdm,), {"_lock": threading.RLock(), "monitor_interval": 0})


def _read(meter: "tqdm[Any]") -> str:
    """Return what a meter shows, such as ``1.20 GB of 6.74 GB, 85.0 MB/s, 1 min left`` or ``50 of 100 images``."""
    done = _amount(meter.n, meter.unit)
    if meter.total is not None:
        count = done if meter.unit == BYTES else f"{meter.n:,}"
        done = f"{count} of {_amount(meter.total, meter.unit)}"
    rate, left = _rate(meter), _seconds_left(meter)
    at_rate = [f"{_amount(rate, meter.unit)}/s"] if rate else []
    return ", ".join([done, *at_rate, *([] if left is None else [f"{in_words(left)} left"])])


def _amount(number: float, unit: str) -> str:
    return with_prefix(number) if unit == BYTES else f"{number:,.0f} {unit}"


def _rate(meter: "tqdm[Any]") -> float:
    """Return how much is done a second: of late, or until that is known, on the whole."""
    shown = meter.format_dict
    return float(shown["rate"] or (meter.n - meter.initial) / max(shown["elapsed"], _SHORTEST))


def _seconds_left(meter: "tqdm[Any]") -> float | None:
    rate = _rate(meter)
    return (meter.total - meter.n) / rate if rate and meter.total is not None else None
