"""How a worker runs the tasks of a build in processes of their own, and how these end.

Luigi has no place to say so: the class of its worker and of its processes cannot be chosen from the command line.
`install` therefore extends two methods of its worker, and only for the tasks of one class.
"""

import functools
import multiprocessing
from typing import Any

import luigi
from luigi.worker import ContextManagedTaskProcess, Worker

from luigi_ilsvrc.tasks.luigi_support.parent_death import die_with_worker
from luigi_ilsvrc.tasks.luigi_support.result_queue import use_result_queue


class BuildProcess(ContextManagedTaskProcess):
    """A child process that runs one task and ends with its worker."""

    def run(self) -> None:
        """Run the task, in the child."""
        die_with_worker()
        super().run()


def install(task_class: type[luigi.Task]) -> None:
    """Let Luigi's workers run the tasks of a class in `BuildProcess`, and report them on a `ResultQueue`.

    A worker that runs no such task does as before; one that also runs others reports these on the new queue too. To be
    called once for a class.
    """
    run, create = Worker.run, Worker._create_task_process

    @functools.wraps(run)
    def run_worker(worker: Worker) -> Any:
        if any(isinstance(task, task_class) for task in worker._scheduled_tasks.values()):
            use_result_queue(worker)
        return run(worker)

    @functools.wraps(create)
    def create_task_process(worker: Worker, task: luigi.Task) -> multiprocessing.Process:
        if not isinstance(task, task_class):
            return create(worker, task)
        # A worker may get tasks from the scheduler that it has not scheduled.
        use_result_queue(worker)
        process = create(worker, task)
        if type(process) is ContextManagedTaskProcess and process.use_multiprocessing:
            # Luigi's method names its class: it takes no other one.
            process.__class__ = BuildProcess
        return process

    for method in (run_worker, create_task_process):
        setattr(Worker, method.__name__, method)
