"""What a worker does differently for the tasks of a build.

Luigi has no place to say so: the class of its worker and of its processes cannot be chosen from the command line.
`install` therefore extends seven methods of its worker, for the tasks of one class. A worker that has none of these
does as before.
"""

import functools
import multiprocessing
from collections.abc import Callable
from typing import Any

import luigi
from luigi.rpc import RPCError
from luigi.task_status import FAILED
from luigi.worker import ContextManagedTaskProcess, Worker

from luigi_ilsvrc.tasks.luigi_support import logs, resources
from luigi_ilsvrc.tasks.luigi_support.build_run import OUTPUT_PATIENCE, BuildRun
from luigi_ilsvrc.tasks.luigi_support.interrupts import (
    has_scheduled,
    keep_interrupts,
    release_log_locks,
    say_that_work_is_kept,
)
from luigi_ilsvrc.tasks.luigi_support.late_outputs import CompleteInTime
from luigi_ilsvrc.tasks.luigi_support.logs import without_traceback
from luigi_ilsvrc.tasks.luigi_support.processes import BuildProcess, ReportingProcess
from luigi_ilsvrc.tasks.luigi_support.scheduler_link import BackgroundReporter, away_error, is_remote
from luigi_ilsvrc.tasks.luigi_support.scheduling import scheduling

_EXTENDED = (
    "add",
    "run",
    "_add_task",
    "_announce_scheduling_failure",
    "_keep_alive",
    "_create_task_process",
    "__exit__",
)
"""Methods of Luigi's worker."""


def install(task_class: type[luigi.Task], shows_tasks: Callable[[], bool]) -> None:
    """Extend Luigi's worker for the tasks of a class. To be called once for a class.

    Parameters
    ----------
    task_class : type
        The class.
    shows_tasks : callable
        Tells whether the log has Luigi's lines on each task; raises a `BuildError` if the setting makes no sense.
    """
    hooks = _Hooks(task_class, shows_tasks)
    for name in _EXTENDED:
        setattr(Worker, name, _extended(getattr(Worker, name), getattr(hooks, name.strip("_"))))
    say_that_work_is_kept(task_class)


def _extended(original: Any, hook: Any) -> Any:
    @functools.wraps(original)
    def method(worker: Worker, /, *args: Any, **kwargs: Any) -> Any:
        return hook(functools.partial(original, worker), worker, *args, **kwargs)

    return method


class _Hooks:
    """Each takes the worker's own method, the worker, and the arguments of the call.

    Parameters
    ----------
    task_class : type
        Of the tasks that are concerned.
    shows_tasks : callable
        See `install`.
    """

    def __init__(self, task_class: type[luigi.Task], shows_tasks: Callable[[], bool]) -> None:
        self._task_class = task_class
        self._shows_tasks = shows_tasks

    def _run_of(self, worker: Worker) -> BuildRun:
        """Return what is known of a worker's run, which lasts as long as the worker."""
        runs: dict[type[luigi.Task], BuildRun] = worker.__dict__.setdefault("_luigi_ilsvrc_runs", {})
        if self._task_class not in runs:
            runs[self._task_class] = BuildRun(worker, self._task_class)
        return runs[self._task_class]

    def _begin(self, worker: Worker) -> BuildRun:
        """Prepare the log for the worker's first task of the class; return its run."""
        run = self._run_of(worker)
        if not run.is_begun:
            # Not when a task is made: that may be while a module is imported, before Luigi reads the command line.
            logs.leave_out(self._task_class, is_wanted=not self._shows_tasks())
            run.is_begun = True
        return run

    def _is_concerned(self, worker: Worker) -> bool:
        return has_scheduled(worker, self._task_class)

    def add(self, original: Any, worker: Worker, task: luigi.Task, *args: Any, **kwargs: Any) -> Any:
        """Schedule a command."""
        resources.use(worker._scheduler)
        run = self._run_of(worker)
        if isinstance(task, self._task_class):
            self._begin(worker).prepare()
        try:
            with scheduling():
                return original(task, *args, **kwargs)
        except RPCError:
            if not isinstance(task, self._task_class) and not self._is_concerned(worker):
                raise
            raise away_error(worker._scheduler) from None
        finally:
            run.note_command(task)

    def add_task(self, original: Any, worker: Worker, /, *args: Any, **kwargs: Any) -> Any:
        """Tell the scheduler of a task, or of its status: without what stands in the build's record."""
        task = worker._scheduled_tasks.get(kwargs["task_id"])
        if not isinstance(task, self._task_class):
            return original(*args, **kwargs)
        if kwargs.get("params") is not None:
            kwargs["params"] = task.params_of_scheduler(kwargs["params"])  # type: ignore[attr-defined]
        run = self._begin(worker)
        if run.is_left_to_others(task, kwargs["status"]):
            worker._add_task_history.append((task, kwargs["status"], False))
            return None
        run.note_status(task, kwargs)
        answer = original(*args, **kwargs)
        run.show_scheduling_failure(task, kwargs)
        return answer

    def announce_scheduling_failure(self, original: Any, worker: Worker, task: luigi.Task, explanation: str) -> Any:
        """Tell the scheduler that a task cannot be scheduled."""
        if isinstance(task, self._task_class):
            self._run_of(worker).failures.note(task, FAILED, without_traceback(explanation))
        return original(task, explanation)

    def run(self, original: Any, worker: Worker) -> Any:
        """Run what is scheduled."""
        run = self._run_of(worker)
        try:
            return run.run(original) if self._is_concerned(worker) else original()
        except KeyboardInterrupt:
            # What goes on beside the run may log before it ends.
            release_log_locks()
            raise
        finally:
            run.end()

    def keep_alive(self, original: Any, worker: Worker, response: Any) -> Any:
        """Tell whether to wait if there is nothing to run: as Luigi does, and for what other workers run."""
        if original(response):
            return True
        if worker._assistant or worker._stop_requesting_work or not self._is_concerned(worker):
            return False
        return self._run_of(worker).waits(response)

    def create_task_process(self, original: Any, worker: Worker, task: luigi.Task) -> multiprocessing.Process:
        """Make the process of a task."""
        if not isinstance(task, self._task_class):
            return original(task)
        # A worker may get tasks from the scheduler that it has not scheduled.
        run = self._begin(worker)
        run.prepare()
        run.show()
        keep_interrupts()
        process = original(task)
        process.status_reporter = BackgroundReporter(process.status_reporter)
        if is_remote(worker._scheduler):
            process.check_complete = CompleteInTime(process.check_complete, OUTPUT_PATIENCE)
        if type(process) is ContextManagedTaskProcess:
            # Luigi's method names its class: it takes no other one.
            process.__class__ = BuildProcess if process.use_multiprocessing else ReportingProcess
        return process

    def exit(self, original: Any, worker: Worker, kind: Any, error: BaseException | None, traceback: Any) -> Any:
        """Leave the worker."""
        if isinstance(error, KeyboardInterrupt) and self._is_concerned(worker):
            release_log_locks()
        return original(kind, error, traceback)
