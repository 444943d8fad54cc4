"""Tasks that take longer, without work for the processor: so that a test meets them while they run."""

import time

import luigi

SECONDS = 0.3


class Slow:
    """A context for the processes of tasks (Luigi's ``task_process_context``): each task takes 0.3 seconds longer."""

    def __init__(self, process: object) -> None:
        pass

    def __enter__(self) -> None:
        # In the task's own process; Luigi calls it between the lines "running" and "done" of its log.
        luigi.Task.event_handler(luigi.Event.START)(_pause)

    def __exit__(self, *exception: object) -> None:
        pass


OPTION = ("--worker-task-process-context", f"{__name__}.{Slow.__name__}")
"""Luigi's option for a command in whose PYTHONPATH this project is."""


def _pause(task: luigi.Task) -> None:
    time.sleep(SECONDS)
