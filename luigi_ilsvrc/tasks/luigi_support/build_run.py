"""The run of a worker that has tasks of a build: what it was asked for, what it waits for, and what it has come to."""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any

import luigi
from luigi.rpc import RPCError
from luigi.task_status import DONE, FAILED, PENDING, RUNNING, UNKNOWN
from luigi.worker import Worker

from luigi_ilsvrc.errors import BuildError
from luigi_ilsvrc.storage import visibility
from luigi_ilsvrc.tasks.luigi_support import failures, return_codes
from luigi_ilsvrc.tasks.luigi_support.build_display import (
    AssistantProgress,
    BuildDisplay,
    CommandProgress,
    ProgressLine,
)
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
    NO_ANSWER,
    away_error,
    finish_running_tasks,
    is_remote,
    logger,
    ping_without_retries,
    wait_for,
    without_retries,
)
from luigi_ilsvrc.units import format_duration

SCHEDULER_PATIENCE = 300.0
"""Seconds that a worker waits for a luigid that is restarted; the tasks that it runs go on."""

OUTPUT_PATIENCE = 75.0
"""Seconds that a task waits for outputs that other hosts have made: network file systems hide them for up to 60."""

_NO_LIMIT = 999_999_999
"""Luigi's own default of retry_count."""

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

    Attributes
    ----------
    failures : Failures
        The tasks of the build that have failed.
    is_begun : bool
        Whether the worker has met a task of the build.
    """

    def __init__(self, worker: Worker, task_class: type[luigi.Task]) -> None:
        self.is_begun = False
        self.failures = failures.Failures()
        self._begun = time.monotonic()
        self._worker = worker
        self._task_class = task_class
        self._commands: dict[str, luigi.Task] = {}
        self._watch: LostWorkerWatch | None = None
        self._is_running = False
        self._display: BuildDisplay | None = None

    def prepare(self) -> None:
        """Prepare the worker for tasks of a build; further calls do nothing."""
        if self._watch is not None:
            return
        self._watch = LostWorkerWatch(self._worker)
        use_result_queue(self._worker)
        ping_without_retries(self._worker)
        # Luigi closes it after it has logged its summary: what a person has to know stands last.
        self._worker._scheduler.close = _Close(self._worker._scheduler, self._say_last)
        if is_remote(self._worker._scheduler):
            visibility.be_patient(OUTPUT_PATIENCE)
            if not self._worker._assistant:
                wait_for(self._worker._scheduler, SCHEDULER_PATIENCE)
                self._watch.start()

    def note_command(self, task: luigi.Task) -> None:
        """Take note of a task that a command has asked for; not of what Luigi adds while it runs."""
        if not self._is_running:
            self._commands[task.task_id] = task

    def note_status(self, task: luigi.Task, arguments: dict[str, Any]) -> None:
        """Take note of what the scheduler is told of a task, and wrap why it has failed."""
        explanation = failures.read(arguments.get("expl"))
        self.failures.note(task, arguments["status"], explanation)
        if arguments["status"] == FAILED:
            arguments["expl"] = failures.encode(explanation)

    def show_scheduling_failure(self, task: luigi.Task, arguments: dict[str, Any]) -> None:
        """Let the web view show that a task could not be scheduled: to Luigi, its status is unknown."""
        reason = self.failures.reason(task)
        if arguments["status"] == UNKNOWN and reason is not None and is_remote(self._worker._scheduler):
            # It does not count among the failures after which the scheduler disables a task.
            policy = {**(arguments.get("retry_policy_dict") or {}), "retry_count": _NO_LIMIT}
            told = {**arguments, "status": FAILED, "expl": failures.encode(reason), "retry_policy_dict": policy}
            self._worker._scheduler.add_task(**told)

    def is_left_to_others(self, task: luigi.Task, status: str) -> bool:
        """Tell whether a task that cannot be scheduled here is nobody's business but this command's.

        The scheduler is not told then: it would take the task away from workers that can run it. A wrong table, or
        too little space on this host, says nothing about them.
        """
        scheduler = self._worker._scheduler
        if status != UNKNOWN or self.failures.reason(task) is None or not is_remote(scheduler):
            return False
        known = as_known(scheduler, task) or {"workers": [], "status": UNKNOWN}
        return bool(set(known["workers"]) - {self._worker._id}) and known["status"] in (PENDING, RUNNING)

    def _unfinished(self) -> dict[luigi.Task, bool]:
        """Return the tasks of the command that were not complete when they were scheduled, and which can be run."""
        last = {task.task_id: (status, runnable) for task, status, runnable in self._worker._add_task_history}
        found = {task: last.get(task_id, (UNKNOWN, False)) for task_id, task in self._commands.items()}
        return {task: runnable for task, (status, runnable) in found.items() if status != DONE}

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
        if unfinished:
            self.show()
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

    def show(self) -> None:
        """Show how far the worker is, from now until `end`; further calls do nothing."""
        if self._display is None:
            self._display = BuildDisplay(self._worker, self._line())
            self._display.begin()

    def _line(self) -> ProgressLine:
        if self._worker._assistant:
            return AssistantProgress(self._worker, self._task_class)
        return CommandProgress(self._worker, self._task_class, self._commands.values())

    def end(self) -> None:
        """End what goes on beside the run."""
        self._is_running = False
        if self._watch is not None:
            self._watch.end()
        if self._display is not None:
            self._display.end()

    def _say_last(self) -> None:
        """Log why tasks have failed, or what the command has made; the web view shows it too."""
        commands = [command for command in self._commands.values() if isinstance(command, self._task_class)]
        lines = self.failures.lines()
        for line in lines:
            logger.error(line)
        for command in commands:
            if lines:
                self._tell_scheduler(command, lines[0])
            elif self._worker.add_succeeded and not self._unfinished():
                self._tell_result(command)

    def _tell_result(self, command: Any) -> None:
        try:
            result = command.result()
        except (OSError, BuildError) as error:
            logger.error("%s is done, but what it has made cannot be read: %s", command, error)
            return
        if result:
            line = f"{result}; this run took {format_duration(time.monotonic() - self._begun)}"
            logger.info(line)
            self._tell_scheduler(command, line)

    def _tell_scheduler(self, command: luigi.Task, message: str) -> None:
        if is_remote(self._worker._scheduler):
            scheduler = without_retries(self._worker._scheduler)
            with suppress(*NO_ANSWER):
                scheduler.set_task_status_message(task_id=command.task_id, status_message=message)

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
            self.failures.clear()
            return True
        for task, reason in count_as_failed(self._worker).items():
            logger.error("%s has failed on another worker: %s", failures.name_of(task), reason)
            self.failures.note(task, FAILED, f"has failed on another worker: {reason}")
        return has_succeeded

    def _is_complete(self, task: luigi.Task) -> bool:
        known = as_known(self._worker._scheduler, task)
        is_said_to_be = known is not None and known["status"] == DONE
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


class _Close:
    """In place of a scheduler's own `close`: does something before that, once.

    In a process that gets a pickled copy of the scheduler, it does nothing.
    """

    def __init__(self, scheduler: Any, first: Callable[[], None]) -> None:
        self._scheduler: Any = scheduler
        self._first = first

    def __call__(self) -> None:
        scheduler, self._scheduler = self._scheduler, None
        if scheduler is None:
            return
        if vars(scheduler).get("close") is self:
            del scheduler.close
        self._first()
        if hasattr(scheduler, "close"):
            scheduler.close()

    def __getstate__(self) -> dict[str, Any]:
        return {"_scheduler": None}
