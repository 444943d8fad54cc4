"""Temporary names that no other process can have, and whether the process that made one still runs.

A temporary name is ``<name>.<host>-<pid>-<start>-<random>.partial``. `host` is that of the kernel and the process
namespace, so that equal process numbers of two machines or containers are told apart.
"""

import os
import re
import secrets
import socket
from functools import cache
from pathlib import Path

PARTIAL_SUFFIX = ".partial"
"""Ends the temporary name of an output that is being made."""

_OWNER = re.compile(
    r"\.(?P<host>[A-Za-z0-9_]+)-(?P<pid>[0-9]+)-(?P<start>[0-9]+)-[0-9a-f]+" + re.escape(PARTIAL_SUFFIX)
)


def temporary_path(path: Path) -> Path:
    """Return a name beside `path` that no other process has, and no other call gives."""
    return owned_path(path, new_owner())


def new_owner() -> str:
    """Return what tells this process, and this call, from all others: ``<host>-<pid>-<start>-<random>``."""
    pid = os.getpid()
    return f"{host_id()}-{pid}-{_own_start(pid)}-{secrets.token_hex(4)}"


def owned_path(path: Path, owner: str) -> Path:
    """Return the temporary name beside `path` that has an owner, as `new_owner` gave it."""
    return path.with_name(f"{path.name}.{owner}{PARTIAL_SUFFIX}")


def partial_path(path: Path) -> Path:
    """Return the name of the partial file of a download, which is always the same, so that it can be resumed."""
    return path.with_name(path.name + PARTIAL_SUFFIX)


def output_name(name: str) -> str | None:
    """Return the name of the output that a temporary name is of; None if it is not a temporary name."""
    match = _OWNER.search(name)
    return name[: match.start()] if match and match.end() == len(name) else None


def is_abandoned(path: Path, max_age: float, now: float) -> bool:
    """Tell whether what has a temporary name can be removed, because nobody is writing it.

    Parameters
    ----------
    path : Path
        Its temporary name.
    max_age : float
        Seconds without a change after which something counts as abandoned that another host has made, or a version
        whose temporary names do not tell their owner.
    now : float
        The present time, in seconds since the epoch.
    """
    match = _OWNER.search(path.name)
    if match is not None and match["host"] == host_id():
        return _start(int(match["pid"])) != int(match["start"])
    try:
        return now - _last_change(path) > max_age
    except FileNotFoundError:
        # It was published or removed just now.
        return False


def _last_change(path: Path) -> float:
    """Return when a file, or anything in a folder, was last changed, in seconds since the epoch."""
    times = [path.lstat().st_mtime]
    for folder, folders, _ in os.walk(path):
        times += [os.lstat(os.path.join(folder, name)).st_mtime for name in folders]
    return max(times)


@cache
def host_id() -> str:
    """Return a name of this host, of letters, digits and underscores: of the kernel and the process namespace."""
    # The name of a host may stand for several machines, and a process number for several containers of one.
    parts = [socket.gethostname(), _read("/proc/sys/kernel/random/boot_id")[:8], _namespace()]
    return re.sub(r"[^A-Za-z0-9]", "_", "_".join(part for part in parts if part))


def _namespace() -> str:
    try:
        return f"{os.stat('/proc/self/ns/pid').st_ino:x}"
    except OSError:
        return ""


def _start(pid: int) -> int:
    """Return when a process started, in ticks since the host did; 0 if it does not run."""
    # The name of the program, in parentheses, may contain anything.
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    if fields:
        return int(fields[19]) if fields[0] != "Z" else 0
    return 1 if _runs(pid) else 0


def is_running(pid: int) -> bool:
    """Tell whether there is a process of this number on this host; one that has ended and is not collected is none."""
    return _start(pid) != 0


_own_start = cache(_start)
"""As `_start`, for this process itself: the kernel takes a millisecond to tell."""


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _read(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace").strip()
    except OSError:
        return ""
