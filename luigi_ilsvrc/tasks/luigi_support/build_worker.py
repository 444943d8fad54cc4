"""What a worker does differently for the tasks of a build.

Luigi has no place to say so: the class of its worker and of its processes cannot be chosen from the command line.
`install` therefore extends five methods of its worker, for the tasks of one class. A worker that has none of these does
as before.
"""

import functools
import multiprocessing
from typing import Any

import luigi
from luigi.rpc import RPCError
from luigi.worker import ContextManagedTaskProcess, Worker

from luigi_ilsvrc.storage import visibility
from luigi_ilsvrc.tasks.luigi_support import resources, return_codes
from luigi_ilsvrc.tasks.luigi_support.interrupts import (
    has_scheduled,
    keep_interrupts,
    release_log_locks,
    say_that_work_is_kept,
)
from luigi_ilsvrc.tasks.luigi_support.lost_workers import LostWorkerWatch
from luigi_ilsvrc.tasks.luigi_support.other_workers import (
    complete_in_time,
    count_what_others_made,
    has_forgotten,
    say_what_others_failed,
    waits_for_others,
)
from luigi_ilsvrc.tasks.luigi_support.processes import BuildProcess
from luigi_ilsvrc.tasks.luigi_support.result_queue import use_result_queue
from luigi_ilsvrc.tasks.luigi_support.scheduler_link import (
    BackgroundReporter,
    away_error,
    is_remote,
    logger,
    ping_without_retries,
    wait_for,
)
from luigi_ilsvrc.tasks.luigi_support.scheduling import scheduling

SCHEDULER_PATIENCE = 300.0
"""Seconds that a worker waits for a luigid that is restarted; the tasks that it runs go on."""

OUTPUT_PATIENCE = 75.0
"""Seconds that a task waits for an output that another host has made: network file systems hide it for up to 60."""


def install(task_class: type[luigi.Task]) -> None:
    """Extend Luigi's worker for the tasks of a class. To be called once for a class."""
    hooks = _Hooks(task_class)
    for name in ("add", "run", "_keep_alive", "_create_task_process", "__exit__"):
        setattr(Worker, name, _extended(getattr(Worker, name), getattr(hooks, name.strip("_"))))
    say_that_work_is_kept(task_class)


def _extended(original: Any, hook: Any) -> Any:
    @functools.wraps(original)
    def method(worker: Worker, *args: Any, **kwargs: Any) -> Any:
        return hook(functools.partial(original, worker), worker, *args, **kwargs)

    return method


class _Hooks:
    """Each takes the worker's own method, the worker, and the arguments of the call.

    Parameters
    ----------
    task_class : type
        Of the tasks that are concerned.
    """

    def __init__(self, task_class: type[luigi.Task]) -> None:
        self._task_class = task_class
        self._watches: dict[Worker, LostWorkerWatch] = {}

    def add(self, original: Any, worker: Worker, task: luigi.Task, *args: Any) -> Any:
        """Schedule a command."""
        resources.use(worker._scheduler)
        if isinstance(task, self._task_class):
            wait_for(worker._scheduler, SCHEDULER_PATIENCE)
        try:
            with scheduling():
                return original(task, *args)
        except RPCError:
            if not isinstance(task, self._task_class) and not has_scheduled(worker, self._task_class):
                raise
            raise away_error(worker._scheduler) from None

    def run(self, original: Any, worker: Worker) -> Any:
        """Run what is scheduled; the tasks that run at the end are finished, also if the scheduler is away."""
        if not has_scheduled(worker, self._task_class):
            return original()
        return_codes.warn_if_missing()
        _prepare(worker)
        wait_for(worker._scheduler, SCHEDULER_PATIENCE)
        try:
            with LostWorkerWatch(worker) as self._watches[worker]:
                has_succeeded = original()
                while has_forgotten(worker):
                    self._schedule_again(worker)
                    has_succeeded = original()
            is_complete = count_what_others_made(worker)
            if not is_complete:
                say_what_others_failed(worker)
            return is_complete or has_succeeded
        except RPCError:
            _finish(worker)
            raise away_error(worker._scheduler) from None
        finally:
            self._watches.pop(worker, None)

    def _schedule_again(self, worker: Worker) -> None:
        logger.warning("the scheduler was restarted and knows nothing of the build: it is scheduled again")
        worker.add(worker._scheduled_tasks[worker._first_task])

    def keep_alive(self, original: Any, worker: Worker, response: Any) -> Any:
        """Tell whether to wait if there is nothing to run: as Luigi does, and for what other workers run."""
        if original(response):
            return True
        if worker._assistant or worker._stop_requesting_work or not has_scheduled(worker, self._task_class):
            return False
        return waits_for_others(worker, response) or self._has_given_out(worker)

    def _has_given_out(self, worker: Worker) -> bool:
        """Tell whether there may be something to run after all, as tasks of lost workers were given out again."""
        try:
            return self._watches[worker].has_given_out()
        except RPCError:
            # Asking for work waits until the scheduler answers again.
            return True

    def create_task_process(self, original: Any, worker: Worker, task: luigi.Task) -> multiprocessing.Process:
        """Make the process of a task."""
        if not isinstance(task, self._task_class):
            return original(task)
        # A worker may get tasks from the scheduler that it has not scheduled.
        _prepare(worker)
        keep_interrupts()
        process = original(task)
        process.status_reporter = BackgroundReporter(process.status_reporter)
        if is_remote(worker._scheduler):
            process.check_complete = functools.partial(complete_in_time, process.check_complete)
        if type(process) is ContextManagedTaskProcess and process.use_multiprocessing:
            # Luigi's method names its class: it takes no other one.
            process.__class__ = BuildProcess
        return process

    def exit(self, original: Any, worker: Worker, kind: Any, error: BaseException | None, traceback: Any) -> Any:
        """Leave the worker."""
        if isinstance(error, KeyboardInterrupt):
            release_log_locks()
        return original(kind, error, traceback)


def _prepare(worker: Worker) -> None:
    use_result_queue(worker)
    ping_without_retries(worker)
    if is_remote(worker._scheduler):
        visibility.be_patient(OUTPUT_PATIENCE)


def _finish(worker: Worker) -> None:
    """Wait for the tasks that are running."""
    running = [process for process in worker._running_tasks.values() if process.is_alive()]
    if running:
        logger.warning("the scheduler does not answer: %d running tasks are finished, and none is begun", len(running))
    for process in running:
        process.join()
