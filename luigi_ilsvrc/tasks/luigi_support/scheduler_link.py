"""The connection to luigid: what may wait for it, what may not, and what is said if it does not answer."""

import copy
import functools
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import luigi
from luigi.rpc import RemoteScheduler, RPCError
from luigi.worker import TaskStatusReporter, Worker
from tenacity import RetryCallState, Retrying, stop_after_delay, stop_never, wait_fixed

from luigi_ilsvrc.errors import BuildError

_QUICK_SECONDS = 5.0
"""How long a call may take that nothing depends on."""

NO_ANSWER = (RPCError, OSError, ValueError)
"""What a call raises if luigid, or something in between, is away or does not answer as luigid does."""

_IDLE_SECONDS = 10.0
_OUTLIVES_THE_TASK = "tracking_url"
_ASK_AGAIN = 2.0
_LUIGIS_SETTINGS = ("rpc-retry-attempts", "rpc-retry-wait")

logger = logging.getLogger("luigi-interface")


class SchedulerAwayError(BuildError):
    """luigid did not answer for as long as Luigi's configuration says."""


def away_error(scheduler: Any) -> SchedulerAwayError:
    """Return the error to raise if the scheduler does not answer."""
    return SchedulerAwayError(
        f"the scheduler at {scheduler._url} does not answer: start luigid there, or give its address with "
        "--scheduler-host and --scheduler-port, or add --local-scheduler, and run the same command again; what is "
        "complete and what is downloaded are kept"
    )


def is_remote(scheduler: Any) -> bool:
    """Tell whether a scheduler is a luigid, which other workers may use too."""
    return isinstance(scheduler, RemoteScheduler)


def without_retries(scheduler: Any) -> Any:
    """Return a connection of its own to the same scheduler that gives up at once; a local scheduler as it is.

    Luigi's own waits after each failure ([core] rpc-retry-wait), and then raises.
    """
    if not is_remote(scheduler):
        return scheduler
    quick = copy.copy(scheduler)
    vars(quick).pop("_get_retryer", None)
    quick._rpc_retry_attempts = 1
    quick._rpc_log_retries = False
    quick._connect_timeout = min(scheduler._connect_timeout, _QUICK_SECONDS)
    quick._fetcher = type(scheduler._fetcher)()
    return quick


def ping_without_retries(worker: Worker) -> None:
    """Let the thread in which a worker gives signs of life give up at once, and say nothing, if luigid is away.

    A call that is repeated for minutes would keep the worker from starting tasks, and from ending.
    """
    thread = getattr(worker, "_keep_alive_thread", None)
    if thread is not None and thread._scheduler is worker._scheduler and is_remote(worker._scheduler):
        thread._scheduler = without_retries(worker._scheduler)
        thread._scheduler.ping = functools.partial(_ping, thread._scheduler.ping)


def _ping(ping: Callable[..., Any], **arguments: Any) -> Any:
    with suppress(*NO_ANSWER):
        return ping(**arguments)
    return None


def finish_running_tasks(worker: Worker) -> None:
    """Wait for the tasks that a worker runs in processes of their own."""
    running = [process for process in worker._running_tasks.values() if process.is_alive()]
    if running:
        logger.warning("the scheduler does not answer: %d running tasks are finished, and none is begun", len(running))
    for process in running:
        process.join()


def wait_for(scheduler: Any, seconds: float) -> None:
    """Let a connection wait for its scheduler if that is away, and say so once; a local scheduler never is.

    Luigi's own settings count if they are given ([core] rpc-retry-attempts, rpc-retry-wait).

    Parameters
    ----------
    scheduler : RemoteScheduler or Scheduler
        The connection.
    seconds : float
        How long it waits until it raises RPCError; 0 for ever.
    """
    config = luigi.configuration.get_config()
    if is_remote(scheduler) and all(config.get("core", name, None) is None for name in _LUIGIS_SETTINGS):
        scheduler._get_retryer = functools.partial(_retryer, scheduler._url, seconds)


def _retryer(url: str, seconds: float) -> Retrying:
    def say(state: RetryCallState) -> None:
        if state.attempt_number == 1:
            logger.warning("the scheduler at %s does not answer: waiting for it; start luigid if it does not run", url)

    stop = stop_after_delay(seconds) if seconds else stop_never
    return Retrying(wait=wait_fixed(_ASK_AGAIN), stop=stop, reraise=True, after=say)


class BackgroundReporter(TaskStatusReporter):
    """Tells the scheduler of a task's progress from a thread: the task neither waits for that nor fails by it.

    Of each kind of report, the newest alone is sent. What is not sent when the task ends is dropped, but for the
    address of its page, which outlives it.
    """

    def __init__(self, original: TaskStatusReporter) -> None:
        super().__init__(original._scheduler, original._task_id, original._worker_id, original.scheduler_messages)
        self._waiting: dict[str, Callable[[], Any]] = {}
        self._changed: threading.Condition | None = None
        self._is_sending = False
        self._is_in_call = False

    def update_tracking_url(self, tracking_url: str) -> None:
        """Report the address of a page about the task."""
        self._report(_OUTLIVES_THE_TASK, functools.partial(super().update_tracking_url, tracking_url))

    def update_status_message(self, message: str) -> None:
        """Report a line about the task."""
        self._report("status_message", functools.partial(super().update_status_message, message))

    def update_progress_percentage(self, percentage: int) -> None:
        """Report how much of the task is done, 0 to 100."""
        self._report("progress_percentage", functools.partial(super().update_progress_percentage, percentage))

    def end(self) -> None:
        """End reporting, before the scheduler is told how the task has ended; wait a bounded time for what is sent.

        Luigi reports the address of a page by saying that the task is running: later than that it would be so for ever.
        """
        if self._changed is None:
            return
        with self._changed:
            for kind in self._waiting.keys() - {_OUTLIVES_THE_TASK}:
                del self._waiting[kind]
            self._changed.wait_for(lambda: not (self._waiting or self._is_in_call), _QUICK_SECONDS)
            self._waiting.clear()

    def _report(self, kind: str, send: Callable[[], Any]) -> None:
        if not is_remote(self._scheduler):
            send()
            return
        if self._changed is None:
            # Here, in the process of the task, and only if it reports: most end before that. What the worker makes may
            # be pickled, or be forked while it is locked.
            self._scheduler = without_retries(self._scheduler)
            self._changed = threading.Condition()
        with self._changed:
            self._waiting[kind] = send
            self._changed.notify_all()
            if not self._is_sending:
                self._is_sending = True
                threading.Thread(target=self._send_all, args=[self._changed], daemon=True).start()

    def _send_all(self, changed: threading.Condition) -> None:
        while True:
            with changed:
                if not changed.wait_for(lambda: self._waiting, _IDLE_SECONDS):
                    self._is_sending = False
                    return
                _, send = self._waiting.popitem()
                self._is_in_call = True
            with suppress(*NO_ANSWER):
                send()
            with changed:
                self._is_in_call = False
                changed.notify_all()
