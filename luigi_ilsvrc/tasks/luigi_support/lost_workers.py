"""Tasks that the scheduler takes for running, though their worker was killed or its host is gone.

luigid itself gives such tasks out again when the worker has been silent for ``worker_disconnect_delay`` seconds, it has
looked (once a minute), ``retry_delay`` seconds have passed (900 by default), and it has looked again.
"""

import json
import logging
import socket
import threading
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any

from luigi.worker import Worker, _get_retry_policy_dict, fork_lock

from luigi_ilsvrc.storage.temporary import is_running
from luigi_ilsvrc.tasks.luigi_support.scheduler_link import NO_ANSWER, without_retries

LOST_AFTER = 60.0
"""Seconds without a sign of life after which a worker counts as lost; workers give one each second."""

_LOST_AFTER_DEATH = 3.5
"""The same, if there is no such process on this host any more."""

_INTERVAL = 2.0

_GONE = json.dumps("the worker that ran it is gone")
_NOT_ITS_OWN = (None, "", _GONE)
"""The explanations of a failure that is not the task's: luigid itself gives none."""

logger = logging.getLogger("luigi-interface")


class LostWorkerWatch:
    """Looks from a thread for workers that are lost, and lets the scheduler give their tasks out again.

    Parameters
    ----------
    worker : Worker
        Only tasks that it has scheduled are given out again.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._scheduler = without_retries(worker._scheduler)
        self._last_signs: dict[str, tuple[Any, float]] = {}
        self._ran_by: dict[str, str] = {}
        self._failed_by_themselves: set[str] = set()
        self._has_given_out = False
        self._lock = threading.Lock()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def start(self) -> None:
        """Look from time to time, until `end`."""
        self._thread.start()

    def end(self) -> None:
        """End looking."""
        self._end.set()

    def _watch(self) -> None:
        while not self._end.is_set():
            # As Luigi's own thread does: no process may be forked while a host's name is looked up.
            with suppress(*NO_ANSWER), fork_lock:
                self.look(time.monotonic())
            self._end.wait(_INTERVAL)

    def has_given_out(self) -> bool:
        """Look now; tell whether tasks were given out again since the last call. Raises RPCError."""
        self.look(time.monotonic())
        with self._lock:
            answer, self._has_given_out = self._has_given_out, False
        return answer

    def look(self, now: float) -> None:
        """Ask the scheduler for its workers, and have given out again what the lost ones were running.

        Parameters
        ----------
        now : float
            The present time by any clock that does not go back, in seconds.

        Raises
        ------
        RPCError
            If the scheduler does not answer.
        """
        with self._lock:
            workers = [worker for worker in self._scheduler.worker_list() if worker["name"] != self._worker._id]
            signs = {worker["name"]: worker["last_active"] for worker in workers}
            self._last_signs = {name: self._since(name, sign, now) for name, sign in signs.items()}
            ours = self._worker._scheduled_tasks.keys()
            for worker in workers:
                if (running := worker["running"].keys() & ours) and self._is_lost(worker, now):
                    self._fail(worker, running)
            self._forgive(set(signs))
            self._ran_by |= {task_id: it["name"] for it in workers for task_id in it["running"].keys() & ours}

    def _forgive(self, known: Collection[str]) -> None:
        """Have given out again what failed with its worker, and not by itself, as luigid or this watch has found."""
        failed = self._scheduler.task_list("FAILED", "", limit=False).keys() & self._worker._scheduled_tasks.keys()
        self._failed_by_themselves &= failed
        for task_id in sorted(failed - self._failed_by_themselves):
            name = self._ran_by.pop(task_id, None)
            has_vanished = name is not None and name not in known
            if has_vanished or self._scheduler.fetch_error(task_id)["error"] in _NOT_ITS_OWN:
                self._give_out_again(task_id)
            else:
                self._failed_by_themselves.add(task_id)

    def _give_out_again(self, task_id: str) -> None:
        if self._worker._scheduled_tasks[task_id].complete():
            # A worker that has found it complete does not run it.
            self._scheduler.mark_as_done(task_id=task_id)
        else:
            logger.warning("%s was run by a worker that is gone: it is given out again", task_id)
            self._scheduler.forgive_failures(task_id=task_id)
        self._has_given_out = True

    def _since(self, name: str, sign: Any, now: float) -> tuple[Any, float]:
        """Return the last sign of life, and since when it is the last one by the clock of this host."""
        previous = self._last_signs.get(name)
        return previous if previous is not None and previous[0] == sign else (sign, now)

    def _is_lost(self, worker: Mapping[str, Any], now: float) -> bool:
        silence = now - self._last_signs[worker["name"]][1]
        pid = worker.get("pid")
        is_dead = worker.get("host") == socket.gethostname() and isinstance(pid, int) and not is_running(pid)
        return silence > (_LOST_AFTER_DEATH if is_dead else LOST_AFTER)

    def _fail(self, worker: Mapping[str, Any], task_ids: Collection[str]) -> None:
        for task_id in task_ids:
            # In its name: the scheduler lets nobody else change the status of what it runs.
            self._scheduler.add_task(
                worker=worker["name"],
                task_id=task_id,
                status="FAILED",
                expl=_GONE,
                resources=worker["running"][task_id]["resources"],
                priority=worker["running"][task_id]["priority"],
                assistant=True,
                retry_policy_dict=_get_retry_policy_dict(self._worker._scheduled_tasks[task_id]),
            )
