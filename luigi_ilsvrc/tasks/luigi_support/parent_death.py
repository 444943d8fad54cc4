"""Ending a task's process when its worker dies, so that nobody is at work when the build is started again."""

import ctypes
import multiprocessing
import os
import signal
import sys

import luigi
from luigi.worker import TaskProcess

_PR_SET_PDEATHSIG = 1
"""From <linux/prctl.h>; see prctl(2)."""


def die_with_worker(task: luigi.Task) -> None:
    """On Linux, ask the kernel to kill this task if its worker dies. No-op on other systems and in the worker.

    Luigi's children are not daemons: after SIGKILL or SIGTERM the worker is gone at once, and they would go on writing.
    """
    process = multiprocessing.current_process()
    worker = multiprocessing.parent_process()
    if not sys.platform.startswith("linux") or not isinstance(process, TaskProcess) or worker is None:
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != worker.pid:
        # It died before the line above.
        os.kill(os.getpid(), signal.SIGKILL)


def install(task_class: type[luigi.Task]) -> None:
    """Let the tasks of a class end with their worker, from the moment they begin to run."""
    task_class.event_handler(luigi.Event.START)(die_with_worker)
