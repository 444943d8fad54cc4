"""Simulates a full build by many hosts: where the time goes, and which part bounds it next.

``python -m tests.benchmarks.twenty_hosts [--hosts 20] [--workers 16] [--files 10000]``. The archives are there already.
The seconds of CPU were measured on two cores (see `Costs`); what the file system does in a second is assumed. Four
things are shared: luigid, which answers one call at a time; each host's main process, which starts its tasks one after
the other; and the bytes and the new files that the file system takes in a second, from all hosts together.
"""

import argparse
import heapq
import itertools
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

_TRAIN_BYTES = 147_897_477_120
_VALIDATION_BYTES = 6_744_924_160
_TRAIN_IMAGES = 1_281_167
_VALIDATION_IMAGES = 50_000
_ANNOTATIONS = 544_546
_SYNSETS = 1000
_SHARDS = {"train": 1024, "validation": 128}


@dataclass(frozen=True)
class Costs:
    """Seconds, measured on two cores of an AMD EPYC; Luigi 3.8.1, Python 3.11.

    Attributes
    ----------
    luigid_task : float
        CPU of luigid for a task: to schedule it, to give it out, to take its result (`with_luigid`).
    main_task : float
        CPU of a worker's main process for a task: its calls, and the fork.
    child_start : float
        CPU of a task's own process before and after its work.
    schedule_task : float
        Seconds until the main worker has told luigid of a task.
    shard_image, folder_image : float
        CPU to make a record, or a file, of an image of 110 kB, the kernel's included (`tests.benchmarks`, stages
        shards and extract).
    index : float
        IndexTrain on its own: the headers of the archive (`full_count`).
    plan : float
        PlanShards of the training images (`full_count`).
    boxes : float
        BoundingBoxCSV of 544,546 XML files (`full_count`).
    annotations : float
        ExtractBoundingBoxes.
    """

    luigid_task: float = 0.008
    main_task: float = 0.010
    child_start: float = 0.020
    schedule_task: float = 0.009
    shard_image: float = 0.00016
    folder_image: float = 0.0010
    index: float = 11.0
    plan: float = 2.5
    boxes: float = 28.0
    annotations: float = 31.0


@dataclass
class Server:
    """Serves one after the other, and counts how long it was busy."""

    free_at: float = 0.0
    busy: float = 0.0

    def serve(self, now: float, seconds: float) -> float:
        """Return when a request of now is served that takes some seconds."""
        self.free_at = max(now, self.free_at) + seconds
        self.busy += seconds
        return self.free_at


@dataclass(frozen=True)
class Task:
    """Tasks of one kind: CPU of each in seconds, bytes that it reads and writes, files that it makes, what it needs."""

    kind: str
    cpu: float
    bytes: float
    files: float = 1
    after: tuple[str, ...] = ()
    count: int = 1


def tasks_of(costs: Costs) -> list[Task]:
    """Return the tasks of a full build, in the order of their priority."""
    per_synset = _TRAIN_IMAGES / _SYNSETS
    per_shard = {"train": _TRAIN_IMAGES / _SHARDS["train"], "validation": _VALIDATION_IMAGES / _SHARDS["validation"]}
    size = {"train": _TRAIN_BYTES / _TRAIN_IMAGES, "validation": _VALIDATION_BYTES / _VALIDATION_IMAGES}
    shards = [
        Task(
            f"{split} shard",
            per_shard[split] * costs.shard_image,
            2 * per_shard[split] * size[split],
            1,
            (f"{split} plan",),
            _SHARDS[split],
        )
        for split in _SHARDS
    ]
    return [
        Task("train index", costs.index, 250e6, _SYNSETS),
        Task("boxes", costs.boxes, 50e6),
        Task("train plan", costs.plan, 0, _SHARDS["train"], ("train index", "boxes")),
        Task("validation index", 0.5, 25e6, _SYNSETS),
        Task("validation plan", 0.2, 0, _SHARDS["validation"], ("validation index", "boxes")),
        *shards,
        Task(
            "validation folders",
            _VALIDATION_IMAGES * costs.folder_image,
            2 * _VALIDATION_BYTES,
            _VALIDATION_IMAGES,
            ("validation index",),
        ),
        Task(
            "synset",
            per_synset * costs.folder_image,
            2 * per_synset * size["train"],
            per_synset,
            ("train index",),
            _SYNSETS,
        ),
        Task("annotations", costs.annotations, 2e9, _ANNOTATIONS),
    ]


@dataclass
class Simulation:
    """A build by some hosts with some workers each, on a file system of some bytes and new files a second."""

    costs: Costs
    hosts: int
    workers: int
    bytes_a_second: float
    files_a_second: float
    now: float = 0.0
    luigid: Server = field(default_factory=Server)
    data: Server = field(default_factory=Server)
    names: Server = field(default_factory=Server)
    _events: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def run(self) -> dict[str, float]:
        """Return seconds: of the whole, and for which each part was busy."""
        costs = self.costs
        waiting = {task.kind: task for task in tasks_of(costs)}
        left = Counter({task.kind: task.count for task in waiting.values()})
        ready: deque[Task] = deque()
        mains = [Server() for _ in range(self.hosts)]
        idle = [host for _ in range(self.workers) for host in range(self.hosts)]
        cpu = 0.0

        def release() -> None:
            for kind in [kind for kind, task in waiting.items() if all(left[it] == 0 for it in task.after)]:
                task = waiting.pop(kind)
                ready.extend([task] * task.count)

        def give_out() -> None:
            while ready and idle:
                self._start(ready.popleft(), idle.pop(0), mains, end)

        def end(task: Task, host: int) -> None:
            nonlocal cpu
            cpu += task.cpu + costs.child_start
            left[task.kind] -= 1
            idle.append(host)
            release()
            give_out()

        def begin() -> None:
            release()
            give_out()

        scheduled = costs.schedule_task * sum(left.values())
        self._at(scheduled, begin)
        while self._events:
            self.now, _, action = heapq.heappop(self._events)
            action()
        return {
            "whole": self.now,
            "scheduling": scheduled,
            "luigid": self.luigid.busy,
            "busiest main process": max(main.busy for main in mains),
            "bytes": self.data.busy,
            "new files": self.names.busy,
            "CPU of tasks, over all cores": cpu / (self.hosts * self.workers),
        }

    def _start(self, task: Task, host: int, mains: list[Server], end: Callable[[Task, int], None]) -> None:
        given = self.luigid.serve(self.now, self.costs.luigid_task)
        forked = mains[host].serve(given, self.costs.main_task)
        # Its reading and writing overlap with its work.
        done = max(
            forked + self.costs.child_start + task.cpu,
            self.data.serve(forked, task.bytes / self.bytes_a_second),
            self.names.serve(forked, task.files / self.files_a_second),
        )
        self._at(done, lambda: end(task, host))

    def _at(self, moment: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._events, (moment, next(self._numbers), action))


def main() -> None:
    """Run as the command line asks."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.twenty_hosts", description=__doc__)
    parser.add_argument("--hosts", type=int, default=20, metavar="N")
    parser.add_argument("--workers", type=int, default=16, metavar="N", help="of each host")
    parser.add_argument("--files", type=float, default=10_000, metavar="N", help="new files that it takes in a second")
    arguments = parser.parse_args()
    print(f"new files a second: {arguments.files:,.0f}\n")
    print("| hosts | workers | GB/s | whole | scheduling | luigid | busiest main process | bytes | new files | CPU |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for hosts, speed in itertools.product(sorted({1, 4, arguments.hosts}), (0.5, 2.0, 10.0, 40.0)):
        found = Simulation(Costs(), hosts, arguments.workers, speed * 1e9, arguments.files).run()
        seconds = " | ".join(f"{value:,.0f} s" for value in found.values())
        print(f"| {hosts} | {arguments.workers} | {speed} | {seconds} |")


if __name__ == "__main__":
    main()
