"""The run of a worker that has tasks of a build: what it was asked for, what it waits for, and what it has come to."""

import time
from collections.abc import Iterable
from typing import Any

import luigi
from luigi.rpc import RPCError
from luigi.worker import Worker

from luigi_ilsvrc.storage import visibility
from luigi_ilsvrc.tasks.luigi_support import return_codes
from luigi_ilsvrc.tasks.luigi_support.late_outputs import CompleteInTime
from luigi_ilsvrc.tasks.luigi_support.lost_workers import LostWorkerWatch
from luigi_ilsvrc.tasks.luigi_support.other_workers import (
    as_known,
    count_as_done,
    count_as_failed,
    waits_for_others,
)
from luigi_ilsvrc.tasks.luigi_support.result_queue import use_result_queue
from luigi_ilsvrc.tasks.luigi_support.scheduler_link import (
    away_error,
    finish_running_tasks,
    is_remote,
    logger,
    ping_without_retries,
    wait_for,
)

SCHEDULER_PATIENCE = 300.0
"""Seconds that a worker waits for a luigid that is restarted; the tasks that it runs go on."""

OUTPUT_PATIENCE = 75.0
"""Seconds that a task waits for outputs that other hosts have made: network file systems hide them for up to 60."""

_RESTARTS_IN_VAIN = 3
_PAUSE = 1.0


class BuildRun:
    """What a worker was asked for, and how its run ends.

    Parameters
    ----------
    worker : Worker
        The worker.
    task_class : type
        Of the tasks of a build.
    """

    def __init__(self, worker: Worker, task_class: type[luigi.Task]) -> None:
        self._worker = worker
        self._task_class = task_class
        self._commands: dict[str, luigi.Task] = {}
        self._watch: LostWorkerWatch | None = None
        self._is_running = False

    def prepare(self) -> None:
        """Prepare the worker for tasks of a build; further calls do nothing."""
        if self._watch is not None:
            return
        self._watch = LostWorkerWatch(self._worker)
        use_result_queue(self._worker)
        ping_without_retries(self._worker)
        if is_remote(self._worker._scheduler):
            visibility.be_patient(OUTPUT_PATIENCE)
            if not self._worker._assistant:
                wait_for(self._worker._scheduler, SCHEDULER_PATIENCE)
                self._watch.start()

    def note_command(self, task: luigi.Task) -> None:
        """Take note of a task that a command has asked for; not of what Luigi adds while it runs."""
        if not self._is_running:
            self._commands[task.task_id] = task

    def _unfinished(self) -> dict[luigi.Task, bool]:
        """Return the tasks of the command that were not complete when they were scheduled, and which can be run."""
        last = {task.task_id: (status, runnable) for task, status, runnable in self._worker._add_task_history}
        found = {task: last.get(task_id, ("UNKNOWN", False)) for task_id, task in self._commands.items()}
        return {task: runnable for task, (status, runnable) in found.items() if status != "DONE"}

    def run(self, run_worker: Any) -> Any:
        """Run; the tasks that run at the end are finished, also if the scheduler is away.

        Parameters
        ----------
        run_worker : callable
            The worker's own method.

        Raises
        ------
        SchedulerAwayError
            If luigid does not answer for too long.
        """
        return_codes.warn_if_missing()
        self.prepare()
        unfinished = self._unfinished()
        self._is_running = True
        try:
            has_succeeded = run_worker()
            if not is_remote(self._worker._scheduler) or self._worker._stop_requesting_work:
                return has_succeeded
            wanted = [task for task, can_be_run in unfinished.items() if can_be_run]
            has_succeeded = self._run_what_was_forgotten(wanted, run_worker, has_succeeded)
            return self._count(unfinished, has_succeeded)
        except RPCError:
            finish_running_tasks(self._worker)
            raise away_error(self._worker._scheduler) from None

    def end(self) -> None:
        """End what goes on beside the run."""
        self._is_running = False
        if self._watch is not None:
            self._watch.end()

    def _run_what_was_forgotten(self, wanted: list[luigi.Task], run_worker: Any, has_succeeded: Any) -> Any:
        in_vain = 0
        while in_vain < _RESTARTS_IN_VAIN and (forgotten := [task for task in wanted if self._is_forgotten(task)]):
            given = len(self._worker._get_work_response_history)
            logger.warning("the scheduler was restarted and knows nothing of the build: it is scheduled again")
            for task in forgotten:
                self._worker.add(task)
            has_succeeded = run_worker()
            answers = self._worker._get_work_response_history[given:]
            in_vain = 0 if any(answer["task_id"] for answer in answers) else in_vain + 1
            time.sleep(_PAUSE * in_vain)
        return has_succeeded

    def _is_forgotten(self, task: luigi.Task) -> bool:
        """Tell whether the scheduler does not know that this worker wants a task: it has no state, or an old one."""
        known = as_known(self._worker._scheduler, task)
        return (known is None or self._worker._id not in known["workers"]) and not task.complete()

    def _count(self, unfinished: Iterable[luigi.Task], has_succeeded: Any) -> Any:
        """Let Luigi's summary and exit status count what other workers have made, or failed to make."""
        if self._worker.add_succeeded and all(map(self._is_complete, unfinished)):
            count_as_done(self._worker)
            return True
        count_as_failed(self._worker)
        return has_succeeded

    def _is_complete(self, task: luigi.Task) -> bool:
        known = as_known(self._worker._scheduler, task)
        is_said_to_be = known is not None and known["status"] == "DONE"
        if not isinstance(task, self._task_class):
            # It may have no output, and be complete because it was run.
            return is_said_to_be or task.complete()
        if not is_said_to_be:
            return task.complete()
        for scheduled in self._worker._scheduled_tasks.values():
            if isinstance(scheduled, self._task_class):
                scheduled.end_on_this_host()  # type: ignore[attr-defined]
        return CompleteInTime(lambda it: it.complete(), OUTPUT_PATIENCE)(task)

    def waits(self, response: Any) -> bool:
        """Tell whether the worker has to wait, though the scheduler has nothing for it to run.

        Parameters
        ----------
        response : GetWorkResponse
            What the scheduler has answered.
        """
        if not is_remote(self._worker._scheduler):
            return False
        try:
            is_waiting = waits_for_others(self._worker, list(self._commands), response)
            return is_waiting or (self._watch is not None and self._watch.has_given_out())
        except RPCError:
            # Asking for work waits until the scheduler answers again.
            return True
