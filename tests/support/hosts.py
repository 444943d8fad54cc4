"""Several hosts on this machine: network namespaces that a switch connects, each with a host name of its own.

Hosts may share a folder: each sees it under the same path through a mount of its own, whose locks and caches are its
own, as on NFS.
"""

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Thread
from typing import IO, NamedTuple

import pytest

from tests.support.running import PROJECT

_DEFAULT_CONFIG = PROJECT / "luigi.cfg"
_ENTER = """
hostname "$1"
if [ -n "$2" ]; then mount --bind "$2" "$3"; fi
shift 3
exec "$@"
"""


class Line(NamedTuple):
    """A line that a program has written, and when (`time.monotonic`)."""

    when: float
    text: str


class Program:
    """A program that runs on a host. What it writes is kept, and also goes to a file."""

    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process = process
        self.lines: list[Line] = []
        self.ended: float | None = None
        assert process.stdout is not None
        self._reader = Thread(target=self._read, args=(process.stdout, log), daemon=True)
        self._reader.start()

    def _read(self, output: IO[str], log: Path) -> None:
        with log.open("a", buffering=1) as file:
            for text in output:
                self.lines.append(Line(time.monotonic(), text.rstrip("\n")))
                file.write(text)
        self.ended = time.monotonic()

    def said(self) -> str:
        """Return all that it has written."""
        return "\n".join(line.text for line in self.lines)

    def is_running(self) -> bool:
        """Tell whether it has not ended."""
        return self.process.poll() is None

    def wait(self, seconds: float) -> int:
        """Return its exit status. Raises TimeoutError with what it has written, if it does not end."""
        try:
            status = self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"still running after {seconds} s:\n{self.said()}") from None
        # A child that it has left may hold the pipe.
        self._reader.join(5)
        return status

    def end(self, number: int = signal.SIGKILL) -> int:
        """Send it a signal; return its exit status."""
        self.process.send_signal(number)
        return self.wait(30)


class Host:
    """A network namespace with a name, an address, and perhaps a mount of the shared folder."""

    def __init__(self, name: str, address: str, namespace: str, switch: str, directory: Path) -> None:
        self.name = name
        self.address = address
        self.mount: Path | None = None
        self._namespace = namespace
        self._switch = switch
        self._shared = directory / "shared"
        self._directory = directory / name
        self._directory.mkdir()
        self._started = 0

    def start(self, *command: object, config: Path | None = _DEFAULT_CONFIG, **environment: str) -> Program:
        """Start a program on this host; `config` is Luigi's configuration file."""
        self._started += 1
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("LUIGI_", "IMAGENET_"))}
        settings = {"LUIGI_CONFIG_PATH": str(config)} if config else {}
        # Luigi keeps its locks in the folder for temporary files, which each host has of its own.
        own = {"TMPDIR": str(self._directory), "HOME": str(self._directory), "NO_PROXY": "*"}
        python = {"PYTHONUNBUFFERED": "1", "PYTHONPATH": str(PROJECT)}
        process = subprocess.Popen(
            [
                *("ip", "netns", "exec", self._namespace, "unshare", "--uts", "sh", "-ec", _ENTER, "sh"),
                *(self.name, str(self.mount or ""), str(self._shared), *map(str, command)),
            ],
            env={**kept, **own, **python, **settings, **environment},
            cwd="/",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        return Program(process, self._directory / f"{self._started}.log")

    def run(self, *command: object, seconds: float = 60) -> str:
        """Run a program on this host to its end, which must be good; return what it has written."""
        program = self.start(*command)
        status = program.wait(seconds)
        assert status == 0, program.said()
        return program.said()

    def cut_off(self) -> None:
        """Pull the host's cable out."""
        _ip("-n", self._switch, "link", "set", self.name, "down")

    def bring_back(self) -> None:
        """Put the host's cable in again."""
        _ip("-n", self._switch, "link", "set", self.name, "up")


class Network:
    """Hosts, and the folder that all of them see under one path."""

    def __init__(self, hosts: list[Host], directory: Path) -> None:
        self.hosts = hosts
        self.disk = directory / "disk"
        """Where the shared folder really is: without caches, for comparison."""
        self.shared = directory / "shared"
        """The path under which the hosts see it."""


def why_there_are_no_hosts() -> str | None:
    """Return what this machine lacks for hosts, if it lacks something."""
    if os.geteuid() != 0:
        return "network namespaces take root"
    for program in ("ip", "unshare", "mount", "hostname"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    return None


@contextmanager
def network(directory: Path, names: Iterable[str], sharing: Iterable[str] = (), stale: float = 0) -> Iterator[Network]:
    """Make hosts, and remove them with all that runs on them. Skip the test if that is not possible.

    Parameters
    ----------
    directory : Path
        For what they write.
    names : iterable
        Of the hosts.
    sharing : iterable
        The names of those that see the shared folder.
    stale : float
        Seconds that they may not see what another of them has changed in it.
    """
    reason = why_there_are_no_hosts()
    if reason:
        pytest.skip(reason)
    made = Network([], directory)
    made.disk.mkdir(parents=True)
    made.shared.mkdir()
    prefix = f"ilsvrc-{random.SystemRandom().getrandbits(32):08x}"
    sharing = set(sharing)
    with ExitStack() as stack:
        switch = stack.enter_context(_namespace(f"{prefix}-switch"))
        _ip("-n", switch, "link", "add", "switch", "type", "bridge")
        _ip("-n", switch, "link", "set", "switch", "up")
        for number, name in enumerate(names, start=1):
            mount = None
            if name in sharing:
                mount = stack.enter_context(mounted_through_fuse(made.disk, directory / f"mount-{name}", stale))
            namespace = stack.enter_context(_namespace(f"{prefix}-{name}"))
            host = Host(name, f"10.99.0.{number}", namespace, switch, directory)
            host.mount = mount
            _connect(host.name, host.address, namespace, switch)
            made.hosts.append(host)
        yield made


def _connect(name: str, address: str, namespace: str, switch: str) -> None:
    _ip("-n", switch, "link", "add", name, "type", "veth", "peer", "name", "cable", "netns", namespace)
    _ip("-n", switch, "link", "set", name, "master", "switch", "up")
    _ip("-n", namespace, "address", "add", f"{address}/24", "dev", "cable")
    _ip("-n", namespace, "link", "set", "cable", "up")
    _ip("-n", namespace, "link", "set", "lo", "up")


@contextmanager
def _namespace(name: str) -> Iterator[str]:
    done = _try_ip("netns", "add", name)
    if done.returncode:
        pytest.skip(f"ip cannot make a network namespace here: {done.stderr.strip()}")
    try:
        yield name
    finally:
        _end_all(name)
        _ip("netns", "delete", name)


def _end_all(namespace: str) -> None:
    deadline = time.monotonic() + 30
    while pids := _try_ip("netns", "pids", namespace).stdout.split():
        for pid in map(int, pids):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if time.monotonic() > deadline:
            raise TimeoutError(f"processes {pids} do not end")
        time.sleep(0.02)


def _ip(*words: str) -> None:
    done = _try_ip(*words)
    if done.returncode:
        raise OSError(f"ip {' '.join(words)}: {done.stderr.strip()}")


def _try_ip(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ip", *words], capture_output=True, text=True)


@contextmanager
def mounted_through_fuse(folder: Path, mount: Path, stale: float = 0) -> Iterator[Path]:
    """Mount a folder a second time; a lock is known in that mount alone. Skip the test if that is not possible.

    For `stale` seconds, the mount does not see files that are made, removed or changed in the folder itself.
    """
    bindfs = shutil.which("bindfs")
    if bindfs is None:
        pytest.skip("bindfs is not installed")
    if not Path("/dev/fuse").exists():
        pytest.skip("there is no /dev/fuse")
    mount.mkdir()
    caches = [f"{kind}_timeout={stale}" for kind in ("entry", "negative", "attr")] if stale else []
    options = ["-o", ",".join(caches)] if caches else []
    # Without --enable-lock-forwarding.
    done = subprocess.run([bindfs, *options, str(folder), str(mount)], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"bindfs cannot mount here: {done.stderr.strip()}")
    try:
        if stale and not _is_stale(folder, mount):
            pytest.skip("this bindfs keeps no caches")
        yield mount
    finally:
        subprocess.run(["umount", "--lazy", str(mount)], check=True)


def _is_stale(folder: Path, mount: Path) -> bool:
    name = f"probe-{random.SystemRandom().getrandbits(32):08x}"
    assert not (mount / name).exists()
    (folder / name).touch()
    try:
        return not (mount / name).exists()
    finally:
        (folder / name).unlink()
