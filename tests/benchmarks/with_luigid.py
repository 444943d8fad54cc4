"""A build of the full shape under luigid, by a main worker and an assistant, beside one by the local scheduler.

``python -m tests.benchmarks.with_luigid [--rounds N]``: 1000 synsets and 1152 shards of tiny images. Two workers and an
assistant of two, and four workers with the local scheduler, in turns. It prints the wall time of both, how often tasks
ran, and the CPU that luigid took for a task. Exits with 1 if a build fails, or if a task ran twice.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from socket import socket
from typing import NamedTuple

from luigi_ilsvrc import miniature
from tests.support.running import LOG_TASKS, PROJECT

_SYNSETS = 1000
_PROGRAMS = Path(sys.executable).parent


class Outcome(NamedTuple):
    """What a build took: seconds of wall clock, and how often each task ran."""

    status: int
    wall: float
    runs: Counter[str]


class Luigid:
    """A luigid on loopback, and the CPU that it takes."""

    def __init__(self, directory: Path) -> None:
        with closing(socket()) as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self._process = subprocess.Popen(
            [
                _PROGRAMS / "luigid",
                "--address",
                "127.0.0.1",
                "--port",
                str(self.port),
                "--state-path",
                directory / "state",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=_environment(),
        )

    def cpu(self) -> float:
        """Return the seconds of CPU that it has taken so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self) -> None:
        """Stop it."""
        self._process.terminate()
        self._process.wait()


def _environment() -> dict[str, str]:
    return {**os.environ, "LUIGI_CONFIG_PATH": str(PROJECT / "luigi.cfg")}


def _start(command: list[object], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(list(map(str, command)), stdout=output, stderr=subprocess.STDOUT, env=_environment())


def _build(source: Path, directory: Path, options: list[object], assistant: list[object] | None) -> Outcome:
    directory.mkdir()
    logs = [directory / "main.log"]
    helper = None
    if assistant is not None:
        logs.append(directory / "assistant.log")
        helper = _start(assistant, logs[1])
    started = time.monotonic()
    main = _start(
        [
            *(_PROGRAMS / "luigi", "--module", "luigi_ilsvrc", "BuildAll"),
            *("--source", source, "--data-dir", directory / "data", *LOG_TASKS, *options),
        ],
        logs[0],
    )
    status = main.wait()
    wall = time.monotonic() - started
    if helper is not None:
        helper.wait()
    lines = [line for log in logs for line in log.read_text().splitlines()]
    return Outcome(status, wall, Counter(line.partition(" running   ")[2] for line in lines if " running   " in line))


def measure(directory: Path, source: Path, number: int) -> tuple[Outcome, Outcome, float]:
    """Build in both ways; return what they took, and the CPU of luigid in seconds."""
    local = _build(source, directory / f"local-{number}", ["--workers", 4, "--local-scheduler"], None)
    luigid = Luigid(directory)
    try:
        address: list[object] = ["--scheduler-host", "127.0.0.1", "--scheduler-port", luigid.port]
        assistant = [_PROGRAMS / "luigi-ilsvrc-assistant", *address, "--workers", 2, "--idle-minutes", 1, *LOG_TASKS]
        shared = _build(source, directory / f"shared-{number}", ["--workers", 2, *address], assistant)
        return local, shared, luigid.cpu()
    finally:
        luigid.end()


def main() -> None:
    """Run as the command line asks."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.with_luigid", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    rounds = parser.parse_args().rounds
    ratios, is_good = [], True
    with tempfile.TemporaryDirectory(prefix="luigi-ilsvrc-luigid-") as name:
        source = Path(name, "source")
        miniature.write(source, synsets=_SYNSETS, train_images=_SYNSETS, validation_images=_SYNSETS, tiny=True)
        for number in range(rounds):
            local, shared, cpu = measure(Path(name), source, number)
            tasks = len(shared.runs)
            twice = sum(count > 1 for count in shared.runs.values())
            ratios.append(shared.wall / local.wall)
            is_good &= (local.status, shared.status, twice) == (0, 0, 0)
            print(
                f"local scheduler, 4 workers: {local.wall:.1f} s, status {local.status}; luigid, 2 workers and an "
                f"assistant of 2: {shared.wall:.1f} s, status {shared.status}; {tasks} tasks, {twice} ran twice; "
                f"luigid: {cpu:.1f} s of CPU, {1000 * cpu / tasks:.1f} ms a task",
                flush=True,
            )
    print(f"wall, luigid / local: {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")
    sys.exit(0 if is_good else 1)


if __name__ == "__main__":
    main()
