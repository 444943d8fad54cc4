"""A build by several hosts: a scheduler, a main worker and assistants, each on a host of its own."""

import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support import slow_tasks
from tests.support.hosts import Network, Program, network
from tests.support.running import LOG_TASKS, PROJECT, SHARDS

PORT = 8082
_CONFIG = PROJECT / "luigi.cfg"
_OPTIONS = (*LOG_TASKS, *slow_tasks.OPTION)
_LISTENING = "0A"
_RUNNING = re.compile(r"\[pid (\d+)\] Worker .* running   (.+)")
_OVER = re.compile(r"\[pid (\d+)\] Worker .* (?:done   |failed|new requirements)   +(.+)")


class Cluster:
    """Three hosts, and what runs on them.

    Parameters
    ----------
    network : Network
        Its hosts are the scheduler's, the main worker's and the assistants'; the last two see the shared folder.
    source : object
        ``--source`` of the build.
    options : sequence
        Further arguments of ``BuildAll``.
    """

    def __init__(self, network: Network, source: object, options: Sequence[object] = SHARDS) -> None:
        self.scheduler, self.first, self.second = network.hosts
        self.data_dir = network.shared / "data"
        """Under the path that the hosts have for it."""
        self.built = network.disk / "data"
        """The same, for comparison."""
        self.source = source
        self._options = options
        self.programs: list[Program] = []
        """Workers and assistants, of which the log has tasks."""

    def start_luigid(self, *options: object) -> Program:
        """Start the scheduler, and wait until it answers."""
        luigid = self.scheduler.start(
            *(sys.executable, "-c", "import luigi.cmdline; luigi.cmdline.luigid()"),
            *("--port", PORT, *(options or self._without_state())),
        )
        wait_for_port(luigid, PORT)
        return luigid

    def _without_state(self) -> tuple[object, ...]:
        # By default there may be one of this machine's.
        return "--state-path", self.built.parent / "no-such-folder" / "state"

    def start_main(self, *options: object, config: Path | None = _CONFIG, **environment: str) -> Program:
        """Start the build on the first host, with two processes of slow tasks."""
        return self._add(
            self.first.start(
                *(sys.executable, "-m", "luigi", "--module", "luigi_ilsvrc", "BuildAll", "--workers", 2),
                *("--data-dir", self.data_dir, "--source", self.source, *self._options),
                *("--scheduler-host", self.scheduler.address, "--scheduler-port", PORT, *_OPTIONS, *options),
                config=config,
                **environment,
            )
        )

    def start_assistant(self, idle_minutes: float = 10, config: Path | None = _CONFIG, **environment: str) -> Program:
        """Start an assistant on the second host, with two processes of slow tasks."""
        return self._add(
            self.second.start(
                *(Path(sys.executable).with_name("luigi-ilsvrc-assistant"), "--workers", 2),
                *("--scheduler-host", self.scheduler.address, "--scheduler-port", PORT),
                *("--idle-minutes", idle_minutes, *_OPTIONS),
                config=config,
                **environment,
            )
        )

    def _add(self, program: Program) -> Program:
        self.programs.append(program)
        return program

    def said(self) -> str:
        """Return what all workers have logged."""
        return "\n\n".join(program.said() for program in self.programs)


@contextmanager
def cluster(directory: Path, source: object, stale: float, options: Sequence[object] = SHARDS) -> Iterator[Cluster]:
    """Make a cluster; nothing runs on it. `stale`: seconds that a host may not see what another one has made."""
    with network(directory, ["scheduler", "first", "second"], sharing=["first", "second"], stale=stale) as made:
        yield Cluster(made, source, options)


def wait_for_port(program: Program, port: int, seconds: float = 90) -> None:
    """Wait until a program listens. Raises RuntimeError with what it has written if it does not."""
    deadline = time.monotonic() + seconds
    while program.is_running() and time.monotonic() < deadline:
        # Its host's sockets, whatever the namespace of this process.
        for table in ("tcp", "tcp6"):
            for line in _sockets(program.process.pid, table):
                if line[1].endswith(f":{port:04X}") and line[3] == _LISTENING:
                    return
        time.sleep(0.02)
    raise RuntimeError(f"nothing listens on port {port}: {program.said()}")


def _sockets(pid: int, table: str) -> list[list[str]]:
    return [line.split() for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]]


def tasks_run(*programs: Program) -> list[str]:
    """Return the tasks that workers have begun to run, each as often as it was run."""
    return [task for program in programs for _, task in _RUNNING.findall(program.said())]


def unfinished(program: Program) -> list[str]:
    """Return the tasks that a worker has begun to run, and that its log does not say the end of."""
    open_tasks: dict[tuple[str, str], str] = {}
    for line in program.lines:
        if begun := _RUNNING.search(line.text):
            open_tasks[begun[1], begun[2]] = begun[2]
        elif over := _OVER.search(line.text):
            open_tasks.pop((over[1], over[2]), None)
    return sorted(open_tasks.values())


def longest_idle(programs: Sequence[Program], end: float, killed: Sequence[float] = ()) -> tuple[float, float]:
    """Return how many seconds no worker ran a task, at the longest, and when that began.

    It counts from the first task to `end`; a time in which something was killed, from the last kill.
    """
    longest, since, reached = 0.0, end, 0.0
    moments = [(moment, moment) for moment in (*killed, end)]
    for begun, over in sorted([*_intervals(programs, end), *moments]):
        if reached and begun - reached > longest:
            longest, since = begun - reached, reached
        reached = max(reached, over)
    return longest, since


def _intervals(programs: Sequence[Program], end: float) -> Iterator[tuple[float, float]]:
    for program in programs:
        begun: dict[tuple[str, str], float] = {}
        for when, text in program.lines:
            if match := _RUNNING.search(text):
                begun[match[1], match[2]] = when
            elif (match := _OVER.search(text)) and (match[1], match[2]) in begun:
                yield begun.pop((match[1], match[2])), when
        # What it was running when it was killed.
        for when in begun.values():
            yield when, min(program.ended or end, end)
