"""What a worker knows of the others at one scheduler: what they run, and what they have made."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import luigi
from luigi.task import flatten
from luigi.worker import Worker

from luigi_ilsvrc.storage.visibility import patience, wait_until_seen

_SAY_AFTER = 5.0

_said: WeakKeyDictionary[Worker, tuple[Any, str]] = WeakKeyDictionary()

logger = logging.getLogger("luigi-interface")


def waits_for_others(worker: Worker, response: Any) -> bool:
    """Tell whether a worker that gets nothing to run has to wait: for tasks that others run, or for resources.

    Parameters
    ----------
    worker : Worker
        It has scheduled a build.
    response : GetWorkResponse
        What the scheduler has answered.
    """
    if not worker.add_succeeded:
        return False
    if response.running_tasks:
        _say_once(worker, f"waiting for {len(response.running_tasks)} tasks that other workers run")
        return True
    if response.n_pending_tasks == 0:
        return False
    scheduler = worker._scheduler
    failed = {**scheduler.task_list("FAILED", "", limit=False), **_after_a_failure(scheduler)}
    if response.n_pending_tasks <= len(failed.keys() & worker._scheduled_tasks.keys()):
        return False
    # The tasks of other builds hold the resources; or the operator has paused the scheduler.
    if not scheduler.task_list("RUNNING", "", limit=False) and not scheduler.is_paused()["paused"]:
        return False
    _say_once(worker, "waiting for Luigi's resources, which other tasks hold, or for a scheduler that is paused")
    return True


def _say_once(worker: Worker, message: str) -> None:
    """Log a message once for the time in which a worker has nothing to run."""
    if _said.get(worker) != (worker._idle_since, message):
        _said[worker] = (worker._idle_since, message)
        logger.info(message)


def _after_a_failure(scheduler: Any) -> dict[str, Any]:
    tasks: dict[str, Any] = scheduler.task_list("PENDING", "UPSTREAM_FAILED", limit=False)
    return tasks


def has_forgotten(worker: Worker) -> bool:
    """Tell whether a scheduler has lost what a worker has scheduled: it was restarted, without its state or an old one.

    Raises RPCError.
    """
    if worker._first_task is None or worker._stop_requesting_work or not worker.add_succeeded:
        return False
    known = _as_known(worker)
    return known is None or (known["status"] != "DONE" and worker._id not in known["workers"])


def _as_known(worker: Worker) -> dict[str, Any] | None:
    """Return what a scheduler knows of the task that a worker has scheduled first; None if it does not know it."""
    found = worker._scheduler.task_search(worker._first_task)
    return next((tasks[worker._first_task] for tasks in found.values() if worker._first_task in tasks), None)


def count_what_others_made(worker: Worker) -> bool:
    """Let Luigi's summary and exit status count what other workers have made, if the command is complete.

    Returns
    -------
    bool
        Whether the command's task is complete.
    """
    history = worker._add_task_history
    done = {task for task, status, _ in history if status == "DONE"}
    made = {task for task, status, _ in history if status == "PENDING"} - done
    first = worker._scheduled_tasks.get(worker._first_task)
    if first is None or not worker.add_succeeded or (made and not _is_complete(worker, first)):
        return False
    if made:
        logger.info("%d tasks were run by other workers", len(made))
    history.extend((task, "DONE", True) for task in made)
    for answer in worker._get_work_response_history:
        # What they were running when it was asked for.
        answer["running_tasks"] = []
    return first in done or bool(made)


def _is_complete(worker: Worker, first: luigi.Task) -> bool:
    known = _as_known(worker)
    if known is None or known["status"] != "DONE":
        return first.complete()
    for task in worker._scheduled_tasks.values():
        getattr(task, "end_on_this_host", _do_nothing)()
    return complete_in_time(lambda task: task.complete(), first)


def _do_nothing() -> None:
    """Do nothing, for tasks of other packages."""


def say_what_others_failed(worker: Worker) -> None:
    """Log why tasks of a command have failed that other workers have run."""
    own = {task.task_id for task, status, _ in worker._add_task_history if status == "FAILED"}
    failed = [*worker._scheduler.task_list("FAILED", "", limit=False)]
    for task_id in [*failed, *worker._scheduler.task_list("DISABLED", "", limit=False)]:
        if task_id in worker._scheduled_tasks and task_id not in own:
            error = worker._scheduler.fetch_error(task_id)["error"]
            logger.error("%s has failed on another worker: %s", task_id, _as_text(error))


def _as_text(error: str | None) -> str:
    try:
        return str(json.loads(error or ""))
    except ValueError:
        return str(error)


def complete_in_time(is_complete: Callable[[luigi.Task], bool], task: luigi.Task) -> bool:
    """Tell whether a task is complete; if the scheduler says so and it is not, wait until its outputs are visible."""
    begun, is_said = time.monotonic(), False

    def is_seen() -> bool:
        nonlocal is_said
        if is_complete(task):
            return True
        if not is_said and time.monotonic() - begun > _SAY_AFTER:
            is_said = True
            logger.info("waiting until the output of %s is visible on this host", task)
        return False

    return wait_until_seen(is_seen, list(_folders(task)), patience())


def _folders(task: luigi.Task) -> Iterator[Path]:
    """Yield the folders in which a task's outputs, and what is recorded of them, appear."""
    for target in flatten(task.output()):
        if isinstance(target, luigi.LocalTarget):
            yield Path(target.path).parent
    paths = getattr(task, "paths", None)
    if paths is not None:
        yield from (paths.dataset, paths.index_folder, paths.manifests)
