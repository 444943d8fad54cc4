"""Kills builds of a miniature at random moments, until each is done, and compares them with an undisturbed one.

``python -m tests.reliability.kill [--kills 40] [--seed N] [--locks none|shared|error]``: two workers; SIGKILL, SIGTERM
or SIGINT; to the worker or to one of its children; from a folder or over HTTP; if asked, without locks, with locks that
everybody gets, or with locks that fail. Exits with 1 if anything is different, left over or still running.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from luigi_ilsvrc import miniature
from luigi_ilsvrc.storage.temporary import PARTIAL_SUFFIX
from tests.support.broken_locks import BROKEN_LOCKS, broken_locks
from tests.support.running import LOG_TASKS, PROJECT, contents, http_server

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
SHARDS = ("--train-shards", "16", "--validation-shards", "8")
_MARK = "ILSVRC_BUILD_UNDER_TEST"
_PATIENCE = 60.0
"""Seconds that what was killed has to go, and a build without one of its children to end or go on."""
_LONGEST_BUILD = 180.0


class Build:
    """A build that runs as processes of its own, which can be found even when their parent is gone.

    Its log has lines for each task.

    Parameters
    ----------
    arguments : sequence
        Of ``luigi --module luigi_ilsvrc``.
    log : Path
        Where its output goes; what stands there is kept.
    environment : mapping, optional
        Further variables of its environment.
    """

    def __init__(
        self, arguments: Sequence[object], log: Path, environment: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self._mark = f"{_MARK}={random.SystemRandom().getrandbits(64):x}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("LUIGI_", "IMAGENET_"))}
        name, _, value = self._mark.partition("=")
        self.log = log
        self._log_before = log.stat().st_size if log.exists() else 0
        with log.open("ab") as output:
            self.worker = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "luigi",
                    "--module",
                    "luigi_ilsvrc",
                    *map(str, arguments),
                    *LOG_TASKS,
                    "--local-scheduler",
                ],
                env={**kept, "LUIGI_CONFIG_PATH": str(PROJECT / "luigi.cfg"), **environment, name: value},
                cwd="/",
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def processes(self) -> list[int]:
        """Return the process ids of all that is running of the build."""
        self.worker.poll()
        mark = self._mark.encode()
        return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and _bears(entry, mark)]

    def children(self) -> list[int]:
        """Return the process ids of the tasks that are running."""
        return [pid for pid in self.processes() if pid != self.worker.pid]

    def said(self) -> str:
        """Return what the build has logged."""
        return self.log.read_bytes()[self._log_before :].decode()

    def is_gone(self, within: float = _PATIENCE) -> bool:
        """Tell whether nothing runs of it any more, at the latest after some seconds."""
        return wait_until(lambda: not self.processes(), within)

    def end(self) -> None:
        """Kill what is left of it."""
        for pid in self.processes():
            _kill(pid, signal.SIGKILL)
        self.worker.wait()


def _bears(process: Path, mark: bytes) -> bool:
    try:
        # Of a zombie it is empty.
        return mark in (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return False


def wait_until(true: Callable[[], bool], within: float) -> bool:
    """Ask again and again, for some seconds; return the last answer."""
    deadline = time.monotonic() + within
    while not (answer := true()) and time.monotonic() < deadline:
        time.sleep(0.01)
    return answer


def _kill(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def tables_and_checksums(source: Path) -> list[object]:
    """Return the arguments that a build over HTTP needs beside the URL, by the files of a miniature."""
    tables = ("unique_synsets", "validation_synset_labels", "synset_english_key")
    given = [word for name in tables for word in (f"--{name.replace('_', '-')}", source / f"{name}.txt")]
    return [*given, "--checksums", source / "MD5SUMS"]


def leftovers(data_dir: Path) -> list[str]:
    """Return the temporary files and folders below a data directory."""
    return [str(path.relative_to(data_dir)) for path in data_dir.rglob(f"*{PARTIAL_SUFFIX}*")]


def differences(data_dir: Path, undisturbed: dict[str, str]) -> list[str]:
    """Return the paths that are in one of two data sets only, or differ; temporary files do not count."""
    found = {path: md5 for path, md5 in contents(data_dir).items() if PARTIAL_SUFFIX not in path}
    return sorted(path for path, _ in found.items() ^ undisturbed.items())


@dataclass
class Outcome:
    """What the kills have come to."""

    kills: int = 0
    builds: int = 0
    differences: list[str] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)
    survivors: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.differences or self.leftovers or self.survivors or self.failures)


class Tormentor:
    """Kills builds and starts them again.

    Parameters
    ----------
    source : Path
        A miniature.
    directory : Path
        Where data sets are built; empty.
    seed : int
        Of the moments, signals and victims.
    options : sequence
        Further arguments of ``BuildAll``.
    environment : mapping, optional
        Further variables of the builds' environment.
    """

    def __init__(
        self,
        source: Path,
        directory: Path,
        seed: int,
        options: Sequence[str],
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._environment = environment
        self._source = source
        self._directory = directory
        self._options = options
        self._rng = random.Random(seed)
        self.outcome = Outcome()

    def torment(self, kills: int, tell: Callable[[str], object] = print) -> Outcome:
        """Kill that many times; return what came of it."""
        undisturbed, took, size = self._build_undisturbed()
        tell(f"an undisturbed build takes {took:.1f} s")
        while self.outcome.kills < kills:
            data_dir = self._directory / f"build-{self.outcome.builds}"
            with self._arguments(data_dir) as arguments:
                while not self._run(arguments, data_dir, took, size, self.outcome.kills < kills, tell):
                    pass
            self.outcome.builds += 1
            self.outcome.differences += differences(data_dir, undisturbed)
            self.outcome.leftovers += leftovers(data_dir)
            tell(f"{data_dir.name}: compared; {self.outcome.kills} kills so far")
        return self.outcome

    def _build_undisturbed(self) -> tuple[dict[str, str], float, int]:
        data_dir = self._directory / "undisturbed"
        started = time.monotonic()
        build = Build(self._base(data_dir, self._source), self._directory / "undisturbed.log")
        status = build.worker.wait(_LONGEST_BUILD)
        if status:
            raise RuntimeError(build.said())
        return contents(data_dir), time.monotonic() - started, len(build.said())

    def _base(self, data_dir: Path, source: object) -> list[object]:
        return ["BuildAll", "--data-dir", data_dir, "--source", source, "--workers", "2", *self._options]

    @contextmanager
    def _arguments(self, data_dir: Path) -> Iterator[list[object]]:
        if self._rng.random() < 0.5:
            yield self._base(data_dir, self._source)
            return
        with http_server(self._source) as url:
            yield [*self._base(data_dir, url), *tables_and_checksums(self._source)]

    def _run(
        self,
        arguments: list[object],
        data_dir: Path,
        took: float,
        size: int,
        disturb: bool,
        tell: Callable[[str], object],
    ) -> bool:
        """Run the build once, and kill it if it is to be disturbed; return whether it is complete."""
        build = Build(arguments, data_dir.with_suffix(".log"), self._environment)
        try:
            if disturb and self._wait_for_the_moment(build, took, size):
                self._disturb(build, tell)
            status = build.worker.wait(_LONGEST_BUILD)
            if not build.is_gone():
                self.outcome.survivors.append(f"{data_dir.name}: {build.processes()}")
        except subprocess.TimeoutExpired:
            status = None
            self.outcome.failures.append(f"{data_dir.name} hangs: {build.said()[-2000:]}")
        finally:
            build.end()
        if not disturb and status:
            self.outcome.failures.append(f"{data_dir.name}: undisturbed, and fails: {build.said()[-4000:]}")
            return True
        return status == 0

    def _wait_for_the_moment(self, build: Build, took: float, size: int) -> bool:
        """Wait for a moment by the clock or by what is logged; return whether the build is still running then."""
        if self._rng.random() < 0.5:
            moment = took * self._rng.random()
            over = wait_until(lambda: build.worker.poll() is not None, moment)
        else:
            # Rather early: a build that goes on where another was killed says less.
            logged = size * self._rng.random() ** 2
            over = wait_until(
                lambda: build.worker.poll() is not None or len(build.said()) > logged, _LONGEST_BUILD
            ) and wait_until(lambda: build.worker.poll() is not None, self._rng.uniform(0, 0.1))
        return not over

    def _disturb(self, build: Build, tell: Callable[[str], object]) -> None:
        children = build.children()
        victim = self._rng.choice(children) if children and self._rng.random() < 0.5 else build.worker.pid
        number = self._rng.choice(SIGNALS)
        if not _kill(victim, number):
            return
        self.outcome.kills += 1
        who = "the worker" if victim == build.worker.pid else "a child"
        tell(f"kill {self.outcome.kills}: {number.name} to {who}, {len(children)} children, {len(build.said())} logged")
        if victim == build.worker.pid and not build.is_gone():
            self.outcome.survivors.append(f"{number.name} to {who}: {build.processes()}")


def main() -> None:
    """Run as the command line asks."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.kill", description=__doc__)
    parser.add_argument("--kills", type=int, default=40, metavar="N")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), metavar="N")
    parser.add_argument("--locks", choices=BROKEN_LOCKS, help="which locks the builds have (default: those that work)")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="luigi-ilsvrc-kill-") as name:
        source, builds = Path(name, "source"), Path(name, "builds")
        builds.mkdir()
        miniature.write(source, synsets=20, train_images=800, validation_images=100)
        environment = broken_locks(arguments.locks, Path(name, "locks")) if arguments.locks else {}
        tormentor = Tormentor(source, builds, arguments.seed, SHARDS, environment)
        outcome = tormentor.torment(arguments.kills, lambda text: print(text, flush=True))
    for kind in ("differences", "leftovers", "survivors", "failures"):
        for line in getattr(outcome, kind):
            print(f"{kind}: {line}")
    print(
        f"{outcome.kills} of {arguments.kills} kills, {len(outcome.differences)} differences, "
        f"{len(outcome.leftovers)} leftovers, {len(outcome.survivors)} processes left, "
        f"{len(outcome.failures)} failures, {outcome.builds} builds; seed {arguments.seed}"
    )
    sys.exit(0 if outcome.is_good else 1)


if __name__ == "__main__":
    main()
