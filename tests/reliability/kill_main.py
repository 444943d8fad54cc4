"""Kills the main worker of a build by two hosts at random moments, and starts it again at once each time.

``python -m tests.reliability.kill_main [--kills 10] [--seed N]``: SIGKILL; an assistant on another host runs all the
time; what a host has made is not seen by the other one for two seconds. Prints the longest time without a running task,
counted from the last kill. Exits with 1 if a build is not complete, is not the same as an undisturbed one, or if that
time is longer than 15 seconds. Takes root.
"""

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from luigi_ilsvrc import miniature
from tests.reliability.kill import SHARDS, differences, leftovers, wait_until
from tests.support.cluster import Cluster, cluster, longest_idle, tasks_run
from tests.support.hosts import Program
from tests.support.running import contents, luigi

_STALE = 2.0
_LONGEST_BUILD = 300.0
_LONGEST_IDLE = 15.0


@dataclass
class Outcome:
    """What the kills have come to."""

    kills: int = 0
    builds: int = 0
    longest_idle: float = 0.0
    """Seconds without a running task."""
    differences: list[str] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.differences or self.leftovers or self.failures) and self.longest_idle <= _LONGEST_IDLE


class Tormentor:
    """Kills main workers and starts them again.

    Parameters
    ----------
    source : Path
        A miniature.
    directory : Path
        Where data sets are built; empty.
    seed : int
        Of the moments.
    """

    def __init__(self, source: Path, directory: Path, seed: int) -> None:
        self._source = source
        self._directory = directory
        self._rng = random.Random(seed)
        self.outcome = Outcome()

    def torment(self, kills: int, tell: Callable[[str], object] = print) -> Outcome:
        """Kill that many times; return what came of it."""
        undisturbed = self._directory / "undisturbed"
        status, output = luigi("BuildAll", "--data-dir", undisturbed, "--source", self._source, *SHARDS)
        if status:
            raise RuntimeError(output)
        expected = contents(undisturbed)
        while self.outcome.kills < kills:
            name = f"build-{self.outcome.builds}"
            with cluster(self._directory / name, self._source, _STALE, SHARDS) as hosts:
                self._build(hosts, name, kills, tell)
                self.outcome.builds += 1
                self.outcome.differences += differences(hosts.built, expected)
                self.outcome.leftovers += leftovers(hosts.built)
            tell(f"{name}: compared; {self.outcome.kills} kills so far")
        return self.outcome

    def _build(self, hosts: Cluster, name: str, kills: int, tell: Callable[[str], object]) -> None:
        hosts.start_luigid()
        assistant = hosts.start_assistant()
        started = time.monotonic()
        killed: list[float] = []
        main = hosts.start_main()
        while self.outcome.kills < kills and self._wait_for_the_moment(main):
            main.end()
            killed.append(time.monotonic())
            self.outcome.kills += 1
            tell(f"kill {self.outcome.kills}, {len(tasks_run(*hosts.programs))} tasks begun")
            main = hosts.start_main()
        try:
            status = main.wait(_LONGEST_BUILD)
            if status:
                self.outcome.failures.append(f"{name} ends with {status}: {main.said()[-4000:]}")
        except TimeoutError as error:
            self.outcome.failures.append(f"{name} hangs: {str(error)[-4000:]}")
        self._note_idle(hosts, started, killed, tell)
        if not assistant.is_running():
            self.outcome.failures.append(f"{name}: the assistant has ended: {assistant.said()[-4000:]}")

    def _wait_for_the_moment(self, main: Program) -> bool:
        """Wait for a random moment of this run; return whether it is still running then."""
        if self._rng.random() < 0.3:
            # Any moment: also while it starts or schedules.
            wait_until(lambda: not main.is_running(), self._rng.uniform(0, 5))
        else:
            count = self._rng.randrange(1, 8)
            wait_until(lambda: not main.is_running() or len(tasks_run(main)) >= count, _LONGEST_BUILD)
            wait_until(lambda: not main.is_running(), self._rng.uniform(0, 0.1))
        return main.is_running()

    def _note_idle(self, hosts: Cluster, started: float, killed: list[float], tell: Callable[[str], object]) -> None:
        seconds, since = longest_idle(hosts.programs, time.monotonic(), killed)
        self.outcome.longest_idle = max(self.outcome.longest_idle, seconds)
        before = sum(when <= since for when in killed)
        tell(f"no task ran for {seconds:.1f} s, {since - started:.1f} s after the start, after {before} kills")


def main() -> None:
    """Run as the command line asks."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.kill_main", description=__doc__)
    parser.add_argument("--kills", type=int, default=10, metavar="N")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), metavar="N")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="luigi-ilsvrc-kill-main-") as name:
        source, builds = Path(name, "source"), Path(name, "builds")
        builds.mkdir()
        miniature.write(source, synsets=20, train_images=800, validation_images=100)
        tormentor = Tormentor(source, builds, arguments.seed)
        try:
            outcome = tormentor.torment(arguments.kills, lambda text: print(text, flush=True))
        except pytest.skip.Exception as reason:
            sys.exit(f"not possible here: {reason}")
    for kind in ("differences", "leftovers", "failures"):
        for line in getattr(outcome, kind):
            print(f"{kind}: {line}")
    print(
        f"{outcome.kills} kills in {outcome.builds} builds, {len(outcome.differences)} differences, "
        f"{len(outcome.leftovers)} leftovers, {len(outcome.failures)} failures, "
        f"{outcome.longest_idle:.1f} s without a running task at the longest; seed {arguments.seed}"
    )
    sys.exit(0 if outcome.is_good else 1)


if __name__ == "__main__":
    main()
