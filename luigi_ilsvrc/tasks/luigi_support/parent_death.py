"""Ending a task's process when its worker dies, so that nobody is at work when the build is started again."""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
from multiprocessing.connection import wait

_PR_SET_PDEATHSIG = 1
"""From <linux/prctl.h>; see prctl(2)."""


def die_with_worker() -> None:
    """Let this process be killed if its worker dies. No-op in the worker.

    Luigi's children are not daemons: after SIGKILL or SIGTERM the worker is gone at once, and they would go on writing.
    On Linux the kernel does it. It counts as the parent's death the end of the thread that made the child, which is
    the thread that runs the worker, and that one ends after its children. Elsewhere, and if the parent is not the
    worker but multiprocessing's fork server, a thread does it.
    """
    worker = multiprocessing.parent_process()
    if worker is None:
        return
    if not sys.platform.startswith("linux") or multiprocessing.get_start_method() == "forkserver":
        threading.Thread(target=_kill_after, args=[worker.sentinel], daemon=True).start()
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != worker.pid:
        # It died before the line above.
        _kill_self()


def _kill_after(sentinel: int) -> None:
    wait([sentinel])
    _kill_self()


def _kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
