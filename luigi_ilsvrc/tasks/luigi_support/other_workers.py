"""What a worker knows of the others at one luigid: what they run, what they have made, and what has failed there."""

import logging
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import luigi
from luigi.task_status import DISABLED, DONE, FAILED, PENDING, UNKNOWN
from luigi.worker import Worker

from luigi_ilsvrc.tasks.luigi_support.failures import decode

_said: WeakKeyDictionary[Worker, tuple[Any, str]] = WeakKeyDictionary()

logger = logging.getLogger("luigi-interface")


def as_known(scheduler: Any, task: luigi.Task) -> dict[str, Any] | None:
    """Return what a scheduler knows of a task; None if it does not know it. Raises RPCError."""
    found = scheduler.task_search(task.task_id)
    return next((tasks[task.task_id] for tasks in found.values() if task.task_id in tasks), None)


def waits_for_others(worker: Worker, commands: Sequence[str], response: Any) -> bool:
    """Tell whether a worker that gets nothing to run has to wait: for tasks that others run, or for resources.

    Parameters
    ----------
    worker : Worker
        It has scheduled a build.
    commands : sequence of str
        The ids of the tasks that it was asked for.
    response : GetWorkResponse
        What the scheduler has answered.

    Raises
    ------
    RPCError
        If the scheduler does not answer.
    """
    if not worker.add_succeeded:
        return False
    if response.running_tasks or _others_run_ours(worker):
        _say_once(worker, "waiting for tasks that other workers run")
        return True
    if response.n_pending_tasks == 0 or not _lacks_resources_alone(worker._scheduler, commands):
        return False
    _say_once(worker, "waiting for Luigi's resources, which other tasks hold, or for a scheduler that is paused")
    return True


def _others_run_ours(worker: Worker) -> bool:
    """Tell whether others run a task that this worker has scheduled.

    The scheduler does not say so of a task that this worker has found complete: a worker that was killed may have made
    its output, and what depends on it is given out when that worker counts as lost.
    """
    ours = worker._scheduled_tasks.keys()
    others = (it for it in worker._scheduler.worker_list() if it["name"] != worker._id)
    return any(it["running"].keys() & ours for it in others)


def _lacks_resources_alone(scheduler: Any, commands: Sequence[str]) -> bool:
    """Tell whether a task could run if other tasks did not hold its resources, or the scheduler was not paused."""
    graphs = [scheduler.dep_graph(command, include_done=False) for command in commands]
    tasks = [task for graph in graphs for task in graph.values()]
    ready = [task for task in tasks if task["status"] == PENDING and not task["deps"]]
    held = {name for task in scheduler.task_list("RUNNING", "", limit=False).values() for name in task["resources"]}
    return any(held & task["resources"].keys() for task in ready) or bool(ready and scheduler.is_paused()["paused"])


def _say_once(worker: Worker, message: str) -> None:
    """Log a message once for the time in which a worker has nothing to run."""
    if _said.get(worker) != (worker._idle_since, message):
        _said[worker] = (worker._idle_since, message)
        logger.info(message)


def count_as_done(worker: Worker) -> None:
    """Let Luigi's summary and exit status count as done whatever a worker has scheduled."""
    history = worker._add_task_history
    done = {task for task, status, _ in history if status == DONE}
    failed = {task for task, status, _ in history if status == FAILED}
    made = {task for task, status, _ in history if status == PENDING} - done
    if made - failed:
        logger.info("%d tasks were run by other workers", len(made - failed))
    history.extend((task, DONE, True) for task in made)
    for answer in worker._get_work_response_history:
        # What they were running when it was asked for.
        answer["running_tasks"] = []


def count_as_failed(worker: Worker) -> dict[luigi.Task, str]:
    """Let Luigi's summary and exit status count what has failed on other workers; return why. Raises RPCError."""
    own = {task.task_id for task, status, _ in worker._add_task_history if status in (FAILED, UNKNOWN)}
    scheduler = worker._scheduler
    failed = [task_id for status in (FAILED, DISABLED) for task_id in scheduler.task_list(status, "", limit=False)]
    elsewhere = [worker._scheduled_tasks[it] for it in failed if it in worker._scheduled_tasks and it not in own]
    worker._add_task_history.extend((task, FAILED, True) for task in elsewhere)
    return {task: decode(scheduler.fetch_error(task.task_id)["error"]) for task in elsewhere}
