"""Runs commands as processes, in turns, and says what they cost."""

import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks.cold import drop_caches
from tests.support.running import PROJECT

_LAUNCHER = Path(__file__).with_name("launcher.py")
_MARK = "ILSVRC_BENCHMARK_MARK"
_GROUP = "ILSVRC_BENCHMARK_GROUP"
_LOG_SHOWN = 3000
_TUNED_BY_USERS = ("LUIGI_", "IMAGENET_")


class BenchmarkError(Exception):
    """A command under measurement failed, or is not installed."""


class Usage(NamedTuple):
    """What a run cost.

    Attributes
    ----------
    wall : float
        Seconds.
    durable : float
        Seconds until all that was written is on the disk: ours waits for that by itself, most peers do not.
    cpu : float
        CPU seconds of all its processes.
    memory : float
        Bytes of the largest process.
    disk : float
        Bytes that were read from disks.
    """

    wall: float
    durable: float
    cpu: float
    memory: float
    disk: float


Command = Sequence[object]

Arrange = Callable[[Path], Command]
"""Is given an empty folder, prepares in it what is not to be measured, and returns the command."""


@dataclass(frozen=True)
class Goal:
    """How many times the peer's cost ours may be.

    Attributes
    ----------
    peer : str
        The peer's name.
    measure : str
        A field of `Usage`.
    ratio : float
        At most this.
    is_cold : bool
        Whether it is meant for runs with nothing in the page cache, and not for the others.
    """

    peer: str
    measure: str
    ratio: float
    is_cold: bool = False


@dataclass(frozen=True)
class Stage:
    """Something that we and the peers do.

    Attributes
    ----------
    name : str
        As on the command line.
    does : str
        What is done, for a table; sizes included.
    ours : callable
        Our command.
    peers : mapping
        The peers' commands.
    goals : sequence of Goal
        Where we want to be.
    note : str
        What a reader has to know to judge the comparison.
    """

    name: str
    does: str
    ours: Arrange
    peers: Mapping[str, Arrange]
    goals: Sequence[Goal]
    note: str


class Result(NamedTuple):
    """The runs of a stage, round by round."""

    stage: Stage
    ours: list[Usage]
    peers: dict[str, list[Usage]]


class Ratio(NamedTuple):
    """Of our cost to a peer's in the same round: the median, the lowest and the highest."""

    median: float
    lowest: float
    highest: float


def environment() -> dict[str, str]:
    """Return the environment of whatever is measured: our luigi.cfg, nobody's account, no proxy before loopback."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_TUNED_BY_USERS)}
    return {
        **kept,
        "LUIGI_CONFIG_PATH": str(PROJECT / "luigi.cfg"),
        "PYTHONPATH": str(PROJECT),
        "no_proxy": "127.0.0.1",
    }


def run(command: Command, log: Path, group: Path | None = None) -> Usage:
    """Run a command to its end, its output going to `log`; in a control group if one is given.

    Where it calls `mark_imports_done`, what it used until then is not counted; its memory is.

    Raises
    ------
    BenchmarkError
        Where it fails, with the end of what it said.
    """
    mark = log.with_suffix(".mark")
    mark.unlink(missing_ok=True)
    with log.open("wb") as output:
        launcher = subprocess.run(
            [sys.executable, "-I", "-S", str(_LAUNCHER), *map(str, command)],
            env={**environment(), _MARK: str(mark), **({_GROUP: str(group)} if group else {})},
            cwd=log.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
        )
    before_sync = time.monotonic()
    os.sync()
    sync = time.monotonic() - before_sync
    status, began, ended, cpu, memory, disk = launcher.stdout.split() or ["no status", *["nan"] * 5]
    if status != "0":
        said = log.read_text(errors="replace")[-_LOG_SHOWN:]
        raise BenchmarkError(f"{' '.join(map(str, command))[:500]}: ended with {status}:\n{said}")
    start, used, read = map(float, mark.read_text().split()) if mark.exists() else (float(began), 0.0, 0.0)
    wall = float(ended) - start
    return Usage(wall, wall + sync, float(cpu) - used, float(memory), float(disk) - read)


def mark_imports_done() -> None:
    """Tell the measuring process that what counts begins now."""
    read = resource.getrusage(resource.RUSAGE_SELF).ru_inblock * 512
    Path(os.environ[_MARK]).write_text(f"{time.time()} {time.process_time()} {read}")


def tell(text: str) -> None:
    """Tell whoever waits what is going on, beside the results."""
    print(text, file=sys.stderr, flush=True)


def measure(stage: Stage, rounds: int, directory: Path, group: Path | None = None) -> Result:
    """Run ours and each peer in turns, after a round of warm-up that is not counted.

    The warm-up leaves all inputs in the page cache. Before each run, the outputs of the one before are emptied and
    what is dirty is written back, outside the measured time. With a control group, which limits memory, nothing is
    left in the page cache before a run, and there is no warm-up.
    """
    result = Result(stage, [], {peer: [] for peer in stage.peers})
    for turn in range(0 if group is None else 1, rounds + 1):
        tell(f"{stage.name}: {f'round {turn} of {rounds}' if turn else 'warm-up'}")
        ours = _run_afresh(stage.ours, directory, group)
        peers = {peer: _run_afresh(arrange, directory, group) for peer, arrange in stage.peers.items()}
        if turn:
            result.ours.append(ours)
            for peer, usage in peers.items():
                result.peers[peer].append(usage)
    return result


def _run_afresh(arrange: Arrange, directory: Path, group: Path | None) -> Usage:
    outputs = directory / "outputs"
    outputs.mkdir()
    empty_folders = directory / "before"
    empty_folders.mkdir(exist_ok=True)
    try:
        command = arrange(outputs)
        os.sync()
        if group is not None:
            drop_caches()
        return run(command, directory / "command.log", group)
    finally:
        _empty(outputs)
        outputs.rename(empty_folders / str(len(os.listdir(empty_folders))))


def _empty(outputs: Path) -> None:
    """Give back the space of what a run has made, but leave its files, empty; links go.

    For minutes, ext4 searches among the files that were just removed for each new one (``recently_deleted`` in its
    ialloc.c), which took up to half of the time of a stage that makes many files. No user has that.
    """
    for folder, _, names in os.walk(outputs):
        for path in (Path(folder, name) for name in names):
            if path.is_symlink() or path.stat().st_nlink > 1:
                path.unlink()
            else:
                os.truncate(path, 0)


def median(runs: Sequence[Usage]) -> Usage:
    """Return the median of each measure."""
    return Usage(*map(statistics.median, zip(*runs, strict=True)))


def ratio(ours: Sequence[Usage], peer: Sequence[Usage], of: str) -> Ratio:
    """Compare ours and a peer's runs of the same round in one measure."""
    ratios = [getattr(a, of) / getattr(b, of) for a, b in zip(ours, peer, strict=True)]
    return Ratio(statistics.median(ratios), min(ratios), max(ratios))
