"""Kills the children of builds of many tiny tasks at random moments, and counts the builds that hang.

``python -m tests.reliability.kill_children [--kills 60] [--tasks Tinies|PlainTinies|MixedTinies]``: PlainTinies are
tasks of nobody's, which Luigi runs as it does by itself. Exits with 1 if a build hangs or does not become complete.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from tests.reliability import self_killing, tiny_tasks
from tests.support.running import PROJECT

_COUNT = 100
_PATIENCE = 60.0


class Outcome(NamedTuple):
    """What the kills have come to."""

    kills: int
    builds: int
    hangs: int
    longest: float
    """Seconds, of one run."""


class TinyBuild:
    """A build of `tiny_tasks` by four children, which run in a context of `self_killing`."""

    def __init__(
        self,
        tasks: str,
        data_dir: Path,
        context: str = "",
        count: int = _COUNT,
        workers: int = 4,
        **environment: object,
    ) -> None:
        self._log = data_dir.with_suffix(".log").open("w+b")
        options = ["--worker-task-process-context", f"{self_killing.__name__}.{context}"] if context else []
        words = [tasks, "--data-dir", data_dir, "--count", count, "--workers", workers, "--local-scheduler", *options]
        kept = {name: value for name, value in os.environ.items() if not name.startswith("LUIGI_")}
        given = {name: str(value) for name, value in environment.items()}
        self.worker = subprocess.Popen(
            [sys.executable, "-m", "luigi", "--module", tiny_tasks.__name__, *map(str, words)],
            env={**kept, "LUIGI_CONFIG_PATH": str(PROJECT / "luigi.cfg"), "PYTHONPATH": str(PROJECT), **given},
            cwd="/",
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def wait(self, seconds: float = _PATIENCE) -> int | None:
        """Return the exit status, or None of a build that hangs; nothing of it is left then."""
        try:
            return self.worker.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(self.worker.pid, signal.SIGKILL)
            self.worker.wait()

    def said(self) -> str:
        """Return what the build has logged."""
        self._log.seek(0)
        return self._log.read().decode()

    def died(self) -> set[str]:
        """Return the tasks whose process died, as Luigi says."""
        return set(re.findall(r"Task (\S+) died unexpectedly", self.said()))


def torment(directory: Path, kills: int, tasks: str = "Tinies", share: float = 0.1) -> Outcome:
    """Kill that many children; each build is started again until it is complete or hangs."""
    killed = builds = hangs = 0
    longest = 0.0
    while killed < kills:
        data_dir = directory / f"{tasks}-{builds}"
        builds += 1
        status: int | None = None
        while status != 0:
            started = time.monotonic()
            build = TinyBuild(tasks, data_dir, "AtRandom", SELF_KILLING_SHARE=share)
            status = build.wait()
            longest = max(longest, time.monotonic() - started)
            killed += len(build.died())
            if status is None:
                hangs += 1
                break
    return Outcome(killed, builds, hangs, longest)


def main() -> None:
    """Run as the command line asks."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.kill_children", description=__doc__)
    parser.add_argument("--kills", type=int, default=60, metavar="N")
    parser.add_argument("--tasks", default="Tinies", choices=["Tinies", "PlainTinies", "MixedTinies"])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="luigi-ilsvrc-kill-children-") as name:
        outcome = torment(Path(name), arguments.kills, arguments.tasks)
    print(
        f"{outcome.kills} children killed in {outcome.builds} builds of {_COUNT} {arguments.tasks}, "
        f"{outcome.hangs} hangs, longest run {outcome.longest:.1f} s"
    )
    sys.exit(1 if outcome.hangs else 0)


if __name__ == "__main__":
    main()
