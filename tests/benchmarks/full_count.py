"""Builds as many files as the real data set has, and a tenth of them, and compares the cost of each.

``python -m tests.benchmarks.full_count``: tiny images, two workers, from a directory. Prints for each family of tasks
the seconds per image (or XML file) and the peak memory of its largest process. Exits with 1 where a goal is missed.
"""

import argparse
import csv
import json
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from luigi_ilsvrc import miniature
from tests.benchmarks.data import TRAIN_SHARDS, VALIDATION_SHARDS
from tests.benchmarks.measure import BenchmarkError, Usage, run, tell
from tests.benchmarks.table import machine

GROWTH = 1.15
"""At most: the cost of an image at the full count to that at a tenth."""
MEMORY = 1.2e9
"""Bytes that a process may have resident, at most."""
SECONDS = 15 * 60
"""That the whole may take, at most."""

_ANNOTATION_TASKS = ("DownloadBoundingBoxes", "BoundingBoxCSV", "ExtractBoundingBoxes")


@dataclass
class Family:
    """What the tasks of one family cost together.

    Attributes
    ----------
    tasks : int
        How many there were.
    wall, cpu : float
        Seconds of all tasks, each in its own process.
    memory : float
        Bytes resident in the largest of these processes, what it shares with its parent included.
    """

    tasks: int = 0
    wall: float = 0.0
    cpu: float = 0.0
    memory: float = 0.0


@dataclass
class Build:
    """One build: how many files it has, what it cost in all, and by family."""

    images: int
    annotations: int
    usage: Usage
    families: Mapping[str, Family]

    def files_of(self, family: str) -> int:
        """Return what the family's cost is divided by."""
        return self.annotations if family in _ANNOTATION_TASKS else self.images


# In the process that is measured -------------------------------------------------------------------------------------


def build_recorded(record: str, *arguments: str) -> None:
    """Run Luigi as its command line does; note in a file what each task used in the process forked for it."""
    import luigi
    from luigi.cmdline import luigi_run

    began: dict[str, tuple[float, float]] = {}

    @luigi.Task.event_handler(luigi.Event.START)
    def begin(task: luigi.Task) -> None:
        began[task.task_id] = (time.monotonic(), time.process_time())

    @luigi.Task.event_handler(luigi.Event.PROCESSING_TIME)
    def end(task: luigi.Task, seconds: float) -> None:
        wall, cpu = began.pop(task.task_id)
        line = f"{task.task_family},{time.monotonic() - wall},{time.process_time() - cpu},{_most_resident()}\n"
        # One write: lines of several processes do not mix.
        descriptor = os.open(record, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        os.write(descriptor, line.encode())
        os.close(descriptor)

    luigi_run(["--module", "luigi_ilsvrc", *arguments])


def _most_resident() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


# In the process that measures ----------------------------------------------------------------------------------------


def _build(directory: Path, share: float) -> Build:
    counts = {name: value if name == "tiny" else round(value * share) for name, value in miniature.FULL.items()}
    source, data_dir, record = (directory / f"{name}-{share:g}" for name in ("source", "data", "record"))
    began = time.monotonic()
    miniature.write(source, **counts)
    tell(f"made {counts['train_images']:,} training images in {time.monotonic() - began:.0f} s; building")
    os.sync()
    usage = run(
        [
            *(sys.executable, "-m", "tests.benchmarks.full_count", "--record", record),
            *("BuildAll", "--source", source, "--data-dir", data_dir, "--workers", "2", "--local-scheduler"),
            *("--train-shards", max(1, round(TRAIN_SHARDS * share))),
            *("--validation-shards", max(1, round(VALIDATION_SHARDS * share))),
        ],
        directory / f"build-{share:g}.log",
    )
    images = counts["train_images"] + counts["validation_images"]
    return Build(images, counts["xml_files"], usage, _families(record))


def _families(record: Path) -> dict[str, Family]:
    families: dict[str, Family] = defaultdict(Family)
    with record.open(newline="") as file:
        for name, wall, cpu, memory in csv.reader(file):
            family = families[name]
            family.tasks += 1
            family.wall += float(wall)
            family.cpu += float(cpu)
            family.memory = max(family.memory, float(memory))
    return dict(families)


def _table(tenth: Build, full: Build) -> str:
    lines = [
        "| tasks | count | µs of CPU per file, 1/10 | 1/1 | ratio | µs of wall, 1/10 | 1/1 | ratio | MB, 1/10 | 1/1 |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for name in sorted(full.families, key=lambda name: -full.families[name].cpu):
        small, large = tenth.families.get(name, Family()), full.families[name]
        lines.append(_row(name, large.tasks, (small, tenth.files_of(name)), (large, full.files_of(name))))
    rest = (_rest(tenth), tenth.images), (_rest(full), full.images)
    lines.append(_row("Luigi, forks, imports", 1, *rest))
    return "\n".join([*lines, _row("the whole build", 1, (tenth.usage, tenth.images), (full.usage, full.images))])


def _rest(build: Build) -> Usage:
    """Return the CPU that no task accounts for, in the process that is all but idle while they run."""
    cpu = build.usage.cpu - sum(family.cpu for family in build.families.values())
    return build.usage._replace(wall=0.0, cpu=cpu)


def _row(name: str, tasks: int, small: "tuple[Family | Usage, int]", large: "tuple[Family | Usage, int]") -> str:
    cells = [name, str(tasks)]
    for measure in ("cpu", "wall"):
        before, after = (1e6 * getattr(cost, measure) / files for cost, files in (small, large))
        cells += [f"{before:.1f}", f"{after:.1f}", f"{after / before:.2f}" if before else "-"]
    return "| " + " | ".join([*cells, *(f"{cost.memory / 1e6:,.0f}" for cost, _ in (small, large))]) + " |"


def _verdicts(tenth: Build, full: Build, seconds: float) -> list[tuple[str, bool]]:
    # The worse of the two: other work on the machine slows one build's clock and not the other's.
    growth = max(
        (getattr(full.usage, measure) / full.images) / (getattr(tenth.usage, measure) / tenth.images)
        for measure in ("wall", "cpu")
    )
    memory = max(build.usage.memory for build in (tenth, full))
    return [
        (
            f"cost of an image at the full count to that at a tenth, wall or CPU: {growth:.2f}, at most {GROWTH}",
            growth <= GROWTH,
        ),
        (f"largest process: {memory / 1e9:.2f} GB resident, at most {MEMORY / 1e9:.1f}", memory <= MEMORY),
        (f"the whole, the making of the miniatures included: {seconds / 60:.1f} min", seconds <= SECONDS),
    ]


def _as_json(build: Build) -> dict[str, Any]:
    return {**asdict(build), "usage": build.usage._asdict()}


def main() -> None:
    """Run as the command line asks."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.full_count", description=__doc__)
    parser.add_argument("--share", type=float, default=1.0, metavar="X", help="of the full count (default: 1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")
    parser.add_argument(
        "--directory", type=Path, metavar="DIR", help="an existing folder for data and outputs, removed in the end"
    )
    arguments = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="luigi-ilsvrc-full-count-", dir=arguments.directory) as name:
        try:
            tenth, full = (_build(Path(name), arguments.share * share) for share in (0.1, 1.0))
        except BenchmarkError as error:
            sys.exit(f"tests.benchmarks.full_count: {error}")
        verdicts = _verdicts(tenth, full, time.monotonic() - began)
    print(f"{_table(tenth, full)}\n\n{full.images:,} images, {full.annotations:,} XML files; {machine()}.")
    for text, met in verdicts:
        print(f"- {text}: {'met' if met else 'MISSED'}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"1/10": _as_json(tenth), "1/1": _as_json(full)}, indent=2) + "\n")
    sys.exit(0 if all(met for _, met in verdicts) else 1)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--record"]:
        build_recorded(*sys.argv[2:])
    else:
        main()
