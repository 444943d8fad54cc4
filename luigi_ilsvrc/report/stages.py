"""How long each stage of a build took, over all hosts and runs."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from luigi_ilsvrc.timings import Work

Interval = tuple[float, float]

_NAMES = {
    "DownloadTrain": "training archive: downloaded or linked, and verified",
    "DownloadValidation": "validation archive: downloaded or linked, and verified",
    "DownloadBoundingBoxes": "annotations: downloaded or linked, and verified",
    "IndexTrain": "index of the training images",
    "IndexValidation": "index of the validation images",
    "ExtractTrainAhead": "training images: extracted while their archive was verified",
    "ExtractTrainPerSynset": "training images: extracted, and put in place",
    "SortValidation": "validation images: extracted",
    "ExtractBoundingBoxes": "annotations: extracted",
    "BoundingBoxCSV": "boxes",
    "PlanShards": "plans",
    "ClassTable": "table of classes",
    "LabelTableFiles": "label tables, beside the outputs",
    "DownloadValidationBoxes": "annotations of the validation images: downloaded or linked, and verified",
    "ValidationBoxCSV": "boxes of the validation images",
}
"""What a task does, for those whose name needs it."""


class Stage(NamedTuple):
    """All runs of one kind of task.

    Attributes
    ----------
    task, name : str
        The task's name, and what it does.
    began, ended : float
        When the first run began and the last one ended, in seconds since the epoch.
    seconds : float
        How long at least one of its runs was at work.
    outputs : int
        How many it has made.
    bytes : int
        How many bytes these have, each time that they were made.
    failed : int
        Runs that failed or were interrupted.
    hosts : int
        On how many hosts it ran.
    intervals : list of tuple
        When at least one of its runs was at work, in order.
    """

    task: str
    name: str
    began: float
    ended: float
    seconds: float
    outputs: int
    bytes: int
    failed: int
    hosts: int
    intervals: list[Interval]

    @property
    def bytes_per_second(self) -> float:
        """How fast it was while it was at work; 0 if nothing tells."""
        return self.bytes / self.seconds if self.seconds > 0 else 0.0


def stages_of(timings: Iterable[Work]) -> list[Stage]:
    """Return the stages of a build, in the order in which they began."""
    by_task: dict[str, list[Work]] = {}
    for work in timings:
        by_task.setdefault(work.task, []).append(work)
    return sorted((_stage(task, runs) for task, runs in by_task.items()), key=lambda stage: (stage.began, stage.task))


def _stage(task: str, runs: Sequence[Work]) -> Stage:
    intervals = merge((work.began, work.ended) for work in runs)
    done = [work for work in runs if work.is_done]
    return Stage(
        task,
        _NAMES.get(task, "shards" if task.endswith("Shard") else ""),
        min(work.began for work in runs),
        max(work.ended for work in runs),
        length(intervals),
        len({work.output for work in done} - {""}),
        sum(work.bytes for work in done),
        len(runs) - len(done),
        len({work.host for work in runs}),
        intervals,
    )


def merge(intervals: Iterable[Interval], gap: float = 0.0) -> list[Interval]:
    """Return when at least one of the intervals holds, in order; pauses of up to `gap` seconds are no pauses."""
    merged: list[Interval] = []
    for began, ended in sorted(intervals):
        if merged and began <= merged[-1][1] + gap:
            merged[-1] = merged[-1][0], max(merged[-1][1], ended)
        else:
            merged.append((began, ended))
    return merged


def length(intervals: Iterable[Interval]) -> float:
    """Return how many seconds intervals have that do not overlap."""
    return sum(ended - began for began, ended in intervals)
