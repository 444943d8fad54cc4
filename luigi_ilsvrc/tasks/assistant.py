"""An assistant: a worker without a command of its own, which runs what the scheduler gives it.

``luigi-ilsvrc-assistant --scheduler-host HOST --workers N [--idle-minutes M]``; all options of Luigi's own command line
hold too. Luigi's ``--assistant`` gives up if luigid does not run yet, and never ends if it is kept alive.
"""

import datetime
import functools
import json
import sys
import time
from collections.abc import Sequence
from typing import Any

import luigi
from luigi.cmdline_parser import CmdlineParser
from luigi.interface import _WorkerSchedulerFactory
from luigi.rpc import RemoteScheduler, RPCError
from luigi.scheduler import WORKER_STATE_ACTIVE
from luigi.worker import GetWorkResponse, Worker

from luigi_ilsvrc.errors import BuildError
from luigi_ilsvrc.tasks.downloads import DownloadTask
from luigi_ilsvrc.tasks.luigi_support import logs
from luigi_ilsvrc.tasks.luigi_support.scheduler_link import (
    finish_running_tasks,
    logger,
    ping_without_retries,
    wait_for,
)
from luigi_ilsvrc.tasks.parameters import MinutesParameter, ParameterError, setting

_PAUSE = 10.0
"""Seconds in which another worker can take a task that was given back: this one would get it again at once."""

_LONGEST_PAUSE = 300.0

_NOTHING = GetWorkResponse(None, [], 0, 0, 0, WORKER_STATE_ACTIVE)


class Assist(luigi.Task):
    """The command of an assistant. It is complete: the assistant's work is that of other commands."""

    idle_minutes = MinutesParameter(
        default=10.0,
        config_path=setting("idle_minutes"),
        description="end when the scheduler has had nothing to run for so many minutes; 0 for never",
    )

    def complete(self) -> bool:
        """Return True."""
        return True


class AssistantWorker(Worker):
    """A worker that runs what the scheduler gives it, and ends when it has had nothing for some time.

    A download that fails here is given back to the scheduler: this host may have no account, or not see the source,
    and the worker that was given the command has both. So is a task of somebody else's that this host cannot load.

    Parameters
    ----------
    scheduler : RemoteScheduler
        The scheduler.
    worker_processes : int
        How many tasks run at once.
    idle_seconds : float
        When it ends; 0 for never.
    """

    def __init__(self, scheduler: Any, worker_processes: int, idle_seconds: float) -> None:
        super().__init__(
            scheduler=scheduler,
            worker_processes=worker_processes,
            assistant=True,
            keep_alive=True,
            wait_interval=1.0,
            wait_jitter=1.0,
        )
        self._idle_seconds = idle_seconds
        self._pause, self._pauses_until = _PAUSE, 0.0
        self._given: Any = None
        scheduler.get_work = functools.partial(self._take, scheduler.get_work)

    def __enter__(self) -> "AssistantWorker":
        super().__enter__()
        ping_without_retries(self)
        return self

    def run(self) -> Any:
        """Run tasks until there have been none for some time, or the scheduler is away for so long."""
        logger.info("assistant of %s: waiting for tasks", self._scheduler._url)
        try:
            return super().run()
        except RPCError:
            finish_running_tasks(self)
            logger.warning("the scheduler at %s does not answer any more: the assistant ends", self._scheduler._url)
            return True

    def _keep_alive(self, get_work_response: Any) -> bool:
        if self._stop_requesting_work or not self._config.keep_alive:
            return False
        limit = datetime.timedelta(seconds=self._idle_seconds)
        return not limit or self._idle_since is None or datetime.datetime.now() - self._idle_since < limit

    def _get_work(self) -> Any:
        if time.monotonic() < self._pauses_until:
            return _NOTHING
        try:
            return super()._get_work()
        except RPCError:
            raise
        except Exception as error:
            if self._given is None:
                raise
            # Luigi expects a task that is not known, and not that its module is missing or fails.
            self._handle_task_load_error(error, [self._given])
            return _NOTHING

    def _handle_task_load_error(self, exception: Any, task_ids: Sequence[str]) -> None:
        logger.error("a task that comes from the scheduler cannot be loaded here: %s", exception)
        for task_id in task_ids:
            # Luigi's own method sends the exception, which JSON cannot hold.
            self._add_task(
                worker=self._id, task_id=task_id, status="FAILED", runnable=False, expl=json.dumps(str(exception))
            )

    def _take(self, get_work: Any, **arguments: Any) -> Any:
        """Ask for work, and forget the task that comes: it may be of another command now, with other parameters."""
        answer = get_work(**arguments)
        self._given = answer.get("task_id")
        if self._given not in self._running_tasks:
            self._scheduled_tasks.pop(self._given, None)
        return answer

    def _add_task(self, *args: Any, **kwargs: Any) -> None:
        task = self._scheduled_tasks.get(kwargs["task_id"])
        if task is not None and not isinstance(task, Assist):
            # Luigi's summary counts what was pending.
            self._add_task_history.append((task, "PENDING", True))
        super()._add_task(*args, **kwargs)
        if kwargs["status"] == "FAILED" and (task is None or isinstance(task, DownloadTask)):
            self._give_back(kwargs["task_id"])
        elif kwargs["status"] == "DONE":
            self._pause = _PAUSE

    def _give_back(self, task_id: str) -> None:
        logger.warning("%s is given back: another worker may be able to run it", task_id)
        if self._scheduler.forgive_failures(task_id=task_id)["status"] == "DISABLED":
            self._scheduler.re_enable_task(task_id=task_id)
            self._scheduler.forgive_failures(task_id=task_id)
        self._pauses_until = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)


class _AssistantFactory(_WorkerSchedulerFactory):
    def create_local_scheduler(self) -> Any:
        raise ParameterError("--local-scheduler: an assistant needs a luigid; leave this out, or take it out of [core]")

    def create_remote_scheduler(self, url: str) -> RemoteScheduler:
        scheduler = RemoteScheduler(url)
        wait_for(scheduler, _idle_seconds())
        return scheduler

    def create_worker(self, scheduler: Any, worker_processes: int, assistant: bool = False) -> AssistantWorker:
        return AssistantWorker(scheduler, worker_processes, _idle_seconds())


def _idle_seconds() -> float:
    command: Assist = CmdlineParser.get_instance().get_task_obj()
    return command.idle_minutes * 60


def main(arguments: Sequence[str] | None = None) -> None:
    """Run an assistant as the command line asks; several may run on one host."""
    given = sys.argv[1:] if arguments is None else arguments
    command = [Assist.task_family, *given, "--assistant", "--no-lock"]
    logs.install()
    try:
        luigi.run(command, worker_scheduler_factory=_AssistantFactory())
    except RPCError:
        sys.exit("luigi-ilsvrc-assistant: the scheduler did not answer for --idle-minutes: check --scheduler-host")
    except BuildError as error:
        sys.exit(f"luigi-ilsvrc-assistant: {error}")
