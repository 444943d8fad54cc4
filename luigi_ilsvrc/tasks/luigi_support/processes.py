"""How a worker runs the tasks of a build in processes of their own, and how these end.

Luigi has no place to say so: the class of its worker and of its processes cannot be chosen from the command line.
`install` therefore extends three methods of its worker, for the tasks of one class.
"""

import functools
import multiprocessing
import signal
import sys
from typing import Any

import luigi
from luigi.worker import ContextManagedTaskProcess, DequeQueue, Worker

from luigi_ilsvrc.tasks.luigi_support.interrupts import (
    has_scheduled,
    interrupts_deferred,
    keep_interrupts,
    release_log_locks,
    say_that_work_is_kept,
)
from luigi_ilsvrc.tasks.luigi_support.parent_death import die_with_worker
from luigi_ilsvrc.tasks.luigi_support.result_queue import use_result_queue

INTERRUPTED = 128 + signal.SIGINT
"""Exit status of a child that ended because of Ctrl-C, as shells have it."""

_SECONDS_TO_CLEAN_UP = 5


class BuildProcess(ContextManagedTaskProcess):
    """A child process that runs one task, ends with its worker, and ends without a traceback on Ctrl-C."""

    def start(self) -> None:
        """Start the child; an interrupt meanwhile waits until the child can be ended, and knows how to end."""
        self._deferred: list[int] = []
        with interrupts_deferred(self._deferred):
            super().start()

    def run(self) -> None:
        """Run the task, in the child."""
        die_with_worker()
        if not callable(signal.getsignal(signal.SIGINT)):
            # Ignored, as in the background of a shell script.
            super().run()
            return
        try:
            signal.signal(signal.SIGINT, self._interrupt)
            if self._deferred:
                self._interrupt()
            super().run()
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)

    def _interrupt(self, *_: object) -> None:
        """Stop the task; it has some seconds to save and to remove files, and a second Ctrl-C ends it at once."""
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        # A terminal sends SIGINT to the worker too, which then sends SIGTERM to its children.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(_SECONDS_TO_CLEAN_UP)
        # Luigi would report a result without a status, for which the scheduler keeps the task as running.
        self.result_queue = DequeQueue()
        raise KeyboardInterrupt


def install(task_class: type[luigi.Task]) -> None:
    """Let Luigi's workers run the tasks of a class in `BuildProcess`, and report them on a `ResultQueue`.

    A worker that runs no such task does as before; one that also runs others reports these on the new queue too. To be
    called once for a class.
    """
    run, create, leave = Worker.run, Worker._create_task_process, Worker.__exit__

    @functools.wraps(run)
    def run_worker(worker: Worker) -> Any:
        if has_scheduled(worker, task_class):
            use_result_queue(worker)
        return run(worker)

    @functools.wraps(create)
    def create_task_process(worker: Worker, task: luigi.Task) -> multiprocessing.Process:
        if not isinstance(task, task_class):
            return create(worker, task)
        # A worker may get tasks from the scheduler that it has not scheduled.
        use_result_queue(worker)
        keep_interrupts()
        process = create(worker, task)
        if type(process) is ContextManagedTaskProcess and process.use_multiprocessing:
            # Luigi's method names its class: it takes no other one.
            process.__class__ = BuildProcess
        return process

    @functools.wraps(leave)
    def leave_worker(worker: Worker, kind: Any, error: BaseException | None, traceback: Any) -> Any:
        if isinstance(error, KeyboardInterrupt):
            release_log_locks()
        return leave(worker, kind, error, traceback)

    for method in (run_worker, create_task_process, leave_worker):
        setattr(Worker, method.__name__, method)
    say_that_work_is_kept(task_class)
