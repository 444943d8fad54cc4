"""Waiting for outputs that other hosts have made, and that the file system does not show yet."""

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import luigi
from luigi.task import flatten

from luigi_ilsvrc.storage.visibility import wait_until_seen

_SAY_AFTER = 5.0

logger = logging.getLogger("luigi-interface")


class CompleteInTime:
    """Tells whether tasks are complete that the scheduler says are done; waits until their outputs are visible.

    Parameters
    ----------
    is_complete : callable
        Tells it of one task, by what is visible at the moment.
    seconds : float
        How long it waits, for all tasks together.
    """

    def __init__(self, is_complete: Callable[[luigi.Task], bool], seconds: float) -> None:
        self._is_complete = is_complete
        self._left = seconds

    def __call__(self, task: luigi.Task) -> bool:
        """Tell it of a task."""
        if self._is_complete(task):
            return True
        begun, is_said = time.monotonic(), False

        def is_seen() -> bool:
            nonlocal is_said
            if self._is_complete(task):
                return True
            if not is_said and time.monotonic() - begun > _SAY_AFTER:
                is_said = True
                logger.info("waiting until the output of %s is visible on this host", task)
            return False

        answer = wait_until_seen(is_seen, list(_folders(task)), self._left)
        self._left = max(0.0, self._left - (time.monotonic() - begun))
        return answer


def _folders(task: luigi.Task) -> Iterator[Path]:
    """Yield the folders in which a task's outputs, and what is recorded of them, appear."""
    targets = flatten(task.output())
    yield from {Path(target.path).parent for target in targets if isinstance(target, luigi.LocalTarget)}
    paths = getattr(task, "paths", None)
    if paths is not None:
        yield from (paths.dataset, paths.index_folder, paths.manifests)
