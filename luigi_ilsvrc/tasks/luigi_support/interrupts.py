"""Ctrl-C: it is neither lost nor taken at a bad moment, and leaves one line on the screen in place of a traceback."""

import _thread
import logging
import multiprocessing
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import TracebackType

import luigi
from luigi.worker import TaskProcess, Worker

MESSAGE = "interrupted: what is complete and what is downloaded are kept; the same command continues from there"

_SECONDS_TO_END = 8.0
_REPEAT_AFTER = 0.02


def say_that_work_is_kept(task_class: type[luigi.Task]) -> None:
    """Let Python end with `MESSAGE` if Ctrl-C ends it while tasks of a class are made, scheduled or run.

    The exception goes on as it is, for whoever called Luigi, and so does the exit status that it gives the process.
    """
    previous = sys.excepthook

    def report(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            previous(kind, error, traceback)
            return
        further: list[int] = []
        handler = signal.signal(signal.SIGINT, lambda number, frame: further.append(number))
        if _concerns(error, task_class):
            _end_children(further)
            print(f"\n{MESSAGE}" if sys.stderr.isatty() else MESSAGE, file=sys.stderr, flush=True)
            # If Python cannot end, Ctrl-C ends it.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        else:
            signal.signal(signal.SIGINT, handler)
            previous(kind, error, traceback)

    sys.excepthook = report


def release_log_locks() -> None:
    """Release the locks of log handlers that an interrupt has left this thread with.

    It may come between the line of `logging` that takes the lock and the one that would release it. Luigi's worker then
    waits for its keep-alive thread, and this one for the lock, to log that it ends.
    """
    logger: logging.Logger | None = logging.getLogger("luigi-interface")
    while logger is not None:
        for handler in logger.handlers:
            # Raised by a lock that this thread does not hold; some handlers have none.
            with suppress(RuntimeError):
                while handler.lock is not None:
                    handler.release()
        logger = logger.parent


def _concerns(error: BaseException | None, task_class: type[luigi.Task]) -> bool:
    """Tell whether an error, or one that it followed, has passed a function that is at work on tasks of a class."""
    while error is not None:
        traceback = error.__traceback__
        while traceback is not None:
            if any(_is_or_has(value, task_class) for value in traceback.tb_frame.f_locals.values()):
                return True
            traceback = traceback.tb_next
        # The one before the second Ctrl-C.
        error = error.__context__
    return False


def _is_or_has(value: object, task_class: type[luigi.Task]) -> bool:
    if isinstance(value, Worker):
        return has_scheduled(value, task_class)
    return isinstance(value, task_class) or (isinstance(value, type) and issubclass(value, task_class))


def has_scheduled(worker: Worker, task_class: type[luigi.Task]) -> bool:
    """Tell whether a worker has scheduled a task of a class."""
    return any(isinstance(task, task_class) for task in worker._scheduled_tasks.values())


def _end_children(further: list[int]) -> None:
    """End the tasks that still run, for which Python would wait; after some time or a further Ctrl-C, at once."""
    children = [child for child in multiprocessing.active_children() if isinstance(child, TaskProcess)]
    deadline = time.monotonic() + _SECONDS_TO_END
    for child in children:
        # Luigi's own `terminate` may wait for ever.
        multiprocessing.Process.terminate(child)
    for child in children:
        while child.is_alive() and not further and time.monotonic() < deadline:
            child.join(0.05)
        child.kill()


@contextmanager
def interrupts_deferred(deferred: list[int]) -> Iterator[None]:
    """Note in a list the interrupts that come within the block, and let them come again after it."""
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler) or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, lambda number, frame: deferred.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if deferred:
            signal.raise_signal(signal.SIGINT)


def keep_interrupts() -> None:
    """Let an interrupt come again if Python drops it, as it does while it disposes of an object.

    Python starts and disposes of processes all the time here: without this, one Ctrl-C of thirty was printed, with its
    traceback, and the build went on without the children that the same Ctrl-C had ended.
    """
    if sys.unraisablehook is not _repeat_interrupt:
        global _unraisable
        _unraisable = sys.unraisablehook
        sys.unraisablehook = _repeat_interrupt


_unraisable = sys.unraisablehook


def _repeat_interrupt(unraisable: "sys.UnraisableHookArgs") -> None:
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        # From a thread: from here it would be dropped again.
        threading.Thread(target=_interrupt_main_thread, daemon=True).start()
    else:
        _unraisable(unraisable)


def _interrupt_main_thread() -> None:
    """Interrupt the main thread as soon as it has left the hook, which may take it long on a busy machine."""
    time.sleep(_REPEAT_AFTER)
    while _is_in_hook(threading.main_thread()):
        time.sleep(_REPEAT_AFTER)
    _thread.interrupt_main()


def _is_in_hook(thread: threading.Thread) -> bool:
    frame = sys._current_frames().get(thread.ident or 0)
    while frame is not None and frame.f_code is not _repeat_interrupt.__code__:
        frame = frame.f_back
    return frame is not None
