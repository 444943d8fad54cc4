"""A Slurm cluster of two nodes on this machine, all of its processes and files its own."""

import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import MappingProxyType

_TEMPLATE = Path(__file__).with_name("slurm.conf")
_PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scancel", "scontrol")
_PATIENCE = 60.0
NODES = ("n1", "n2")
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY")


class NoSlurmError(Exception):
    """This machine cannot run a cluster."""


class Slurm:
    """Commands for a cluster.

    Parameters
    ----------
    config : Path
        Its slurm.conf.
    """

    def __init__(self, config: Path) -> None:
        # sbatch hands the environment on to its job.
        others = ("LUIGI_", "IMAGENET_", "SLURM_", "SBATCH_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(others)}
        self._environment = {**kept, "SLURM_CONF": str(config)}

    def run(
        self, *command: object, cwd: Path | None = None, environment: Mapping[str, str] = MappingProxyType({})
    ) -> str:
        """Run a command of Slurm; return its output. Raises CalledProcessError."""
        done = subprocess.run(
            [*map(str, command)],
            env={**self._environment, **environment},
            cwd=cwd,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout

    def submit(
        self,
        script: Path,
        options: Sequence[object],
        arguments: Sequence[object],
        cwd: Path,
        environment: Mapping[str, str],
    ) -> str:
        """Submit a batch script, with further variables, from a folder; return the job's id."""
        command = ["sbatch", "--parsable", *options, script, *arguments]
        return self.run(*command, cwd=cwd, environment=environment).strip()

    def job(self, job: str) -> dict[str, str]:
        """Return what Slurm says of a job: ``JobState``, ``ExitCode``, ``NodeList`` and others."""
        said = self.run("scontrol", "--oneliner", "show", "job", job)
        return dict(re.findall(r"(\w+)=(\S*)", said.splitlines()[0]))

    def wait_for(self, job: str, *states: str, within: float = _PATIENCE) -> dict[str, str]:
        """Wait until a job has one of some states; return what Slurm says of it. Raises TimeoutError."""
        deadline = time.monotonic() + within
        while (found := self.job(job))["JobState"] not in states:
            if time.monotonic() > deadline:
                raise TimeoutError(f"job {job}: {found}")
            time.sleep(0.1)
        return found

    def cancel_all(self) -> None:
        """Cancel all jobs, let both nodes take jobs again, and wait until they are free."""
        self.run("scancel", "--state=PENDING", "--user=root")
        self.run("scancel", "--user=root")
        _wait(lambda: not self.run("squeue", "--noheader"), "jobs that do not end")
        for node in NODES:
            if "DRAIN" in self.run("scontrol", "show", "node", node):
                self.run("scontrol", "update", f"nodename={node}", "state=resume")
        _wait(self.is_idle, "nodes that are not idle")

    def is_idle(self) -> bool:
        """Tell whether all nodes are there, and run nothing."""
        states = self.run("sinfo", "--noheader", "--Node", "--format=%T").split()
        return states == ["idle"] * len(NODES)


def _wait(true: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(otherwise)
        time.sleep(0.1)


@contextmanager
def slurm_cluster(scratch: Path) -> Iterator[Slurm]:
    """Run munged, slurmctld and a slurmd for each node; at the end, kill these and all that runs of their jobs.

    Parameters
    ----------
    scratch : Path
        An empty folder with a short path, for everything that the daemons write.

    Raises
    ------
    NoSlurmError
        If the machine has no Slurm, or this process is not root.
    """
    missing = [program for program in _PROGRAMS if shutil.which(program) is None]
    if missing:
        raise NoSlurmError(f"{', '.join(missing)}: not installed (Debian: slurm-wlm, munge)")
    if os.geteuid() != 0:
        raise NoSlurmError("to start Slurm's daemons takes root")
    config = _write_config(scratch)
    environment = {**os.environ, "SLURM_CONF": str(config)}
    slurm = Slurm(config)
    daemons = []
    try:
        for name, command in _daemons(scratch):
            with (scratch / f"{name}.out").open("wb") as output:
                daemons.append(subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT))
            if name == "munged":
                _wait((scratch / "munge.socket").exists, f"munged does not start: {scratch / 'munged.out'}")
        _wait(lambda: _answers(slurm), f"slurmctld does not answer, or its nodes are not there: {scratch}")
        yield slurm
    finally:
        _kill_all(scratch, f"SLURM_CONF={config}".encode())
        for daemon in daemons:
            daemon.wait()


def _answers(slurm: Slurm) -> bool:
    try:
        return slurm.is_idle()
    except subprocess.CalledProcessError:
        return False


def _daemons(scratch: Path) -> Iterator[tuple[str, list[str]]]:
    files = {name: str(scratch / f"munge.{name}") for name in ("key", "socket", "pid", "log", "seed")}
    # --force: the scratch folder may be closed to other users, which munged takes for a mistake.
    yield (
        "munged",
        [
            *("munged", "--foreground", "--force", f"--key-file={files['key']}", f"--socket={files['socket']}"),
            *(f"--pid-file={files['pid']}", f"--log-file={files['log']}", f"--seed-file={files['seed']}"),
        ],
    )
    yield "slurmctld", ["slurmctld", "-D"]
    for node in NODES:
        yield f"slurmd-{node}", ["slurmd", "-D", "-N", node]


def _write_config(scratch: Path) -> Path:
    (scratch / "state").mkdir()
    for node in NODES:
        (scratch / f"spool-{node}").mkdir()
    key = scratch / "munge.key"
    key.touch(0o600)
    key.write_bytes(secrets.token_bytes(128))
    with ExitStack() as stack:
        ports = [_free_port(stack) for _ in range(3)]
    values: Mapping[str, object] = {
        "HOST": socket.gethostname().partition(".")[0],
        "SCRATCH": scratch,
        **dict(zip(("CONTROLLER_PORT", "PORT_1", "PORT_2"), ports, strict=True)),
    }
    config = scratch / "slurm.conf"
    config.write_text(re.sub(r"\b[A-Z_12]{4,}\b", lambda it: str(values.get(it[0], it[0])), _TEMPLATE.read_text()))
    return config


def _free_port(stack: ExitStack) -> int:
    free = stack.enter_context(closing(socket.socket()))
    free.bind(("127.0.0.1", 0))
    return int(free.getsockname()[1])


def _kill_all(scratch: Path, mark: bytes) -> None:
    """Kill the cluster's daemons, which have files of its folder open, and its jobs, whose environment has a mark."""
    while found := [int(entry.name) for entry in Path("/proc").iterdir() if _is_of(entry, scratch, mark)]:
        for pid in found:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.05)


def _is_of(process: Path, scratch: Path, mark: bytes) -> bool:
    if not process.name.isdigit():
        return False
    try:
        # Daemons that give themselves a title overwrite their environment with it.
        links = [process / "cwd", *(process / "fd").iterdir()]
        return mark in (process / "environ").read_bytes().split(b"\0") or any(
            Path(os.readlink(link)).is_relative_to(scratch) for link in links
        )
    except OSError:
        return False
