"""What runs one task, in a child process of a worker or in the worker itself, and how it ends."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from luigi.worker import ContextManagedTaskProcess, DequeQueue

from luigi_ilsvrc.tasks.luigi_support.interrupts import interrupts_deferred
from luigi_ilsvrc.tasks.luigi_support.parent_death import die_with_worker
from luigi_ilsvrc.tasks.luigi_support.scheduler_link import BackgroundReporter

INTERRUPTED = 128 + signal.SIGINT
"""Exit status of a child that ended because of Ctrl-C, as shells have it."""

_SECONDS_TO_CLEAN_UP = 5


class ReportingProcess(ContextManagedTaskProcess):
    """Runs one task, whose progress is reported from a thread until the task ends."""

    status_reporter: BackgroundReporter

    @contextmanager
    def _forward_attributes(self) -> Iterator[Any]:
        with super()._forward_attributes():
            try:
                yield self
            finally:
                self.status_reporter.end()


class BuildProcess(ReportingProcess):
    """A child process that runs one task, ends with its worker, and ends without a traceback on Ctrl-C."""

    def start(self) -> None:
        """Start the child; an interrupt meanwhile waits until the child can be ended, and knows how to end."""
        self._deferred: list[int] = []
        with interrupts_deferred(self._deferred):
            super().start()

    def run(self) -> None:
        """Run the task, in the child."""
        die_with_worker()
        if not callable(signal.getsignal(signal.SIGINT)):
            # Ignored, as in the background of a shell script.
            super().run()
            return
        try:
            signal.signal(signal.SIGINT, self._interrupt)
            if self._deferred:
                self._interrupt()
            super().run()
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)

    def _interrupt(self, *_: object) -> None:
        """Stop the task; it has some seconds to save and to remove files, and a second Ctrl-C ends it at once."""
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        # A terminal sends SIGINT to the worker too, which then sends SIGTERM to its children.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(_SECONDS_TO_CLEAN_UP)
        # Luigi would report a result without a status, for which the scheduler keeps the task as running.
        self.result_queue = DequeQueue()
        raise KeyboardInterrupt
