"""Two processes that download the same file where locks fail, or succeed for everybody."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from luigi_ilsvrc.download import exclusive, file_hash, named_file, partial_file
from luigi_ilsvrc.download.checksums import ChecksumError
from luigi_ilsvrc.download.exclusive import has_exclusive_lock
from luigi_ilsvrc.progress import BYTES
from tests.download.helpers import (
    BODY,
    NAME,
    PROJECT,
    Fetch,
    assert_only_file,
    beside,
    bytes_of,
    leave_partial,
    md5_of,
    partial_of,
    wait_until,
)
from tests.support import hostile_server as hostile
from tests.support.hostile_server import HostileServer

KINDS = {
    "no locks": "def flock(*_): raise OSError(errno.ENOLCK, 'No locks available')",
    "not implemented": "def flock(*_): raise OSError(errno.ENOSYS, 'Function not implemented')",
    "for everybody": "def flock(*_): pass",
}
PROGRAM = """
import errno, fcntl, sys
{flock}
fcntl.flock = flock
from pathlib import Path
from luigi_ilsvrc.download import segments
from luigi_ilsvrc.download.download import download
vars(segments).update(MIN_SEGMENT=10_000, MAX_SEGMENT=60_000, MIN_BYTES_PER_CONNECTION=20_000)
source, name, path, md5, connections = sys.argv[1:]
download(source, name, Path(path), md5=md5, connections=int(connections), timeout=60, sleep=lambda seconds: None)
"""


@pytest.fixture(params=list(KINDS.values()), ids=list(KINDS))
def start(request: pytest.FixtureRequest, destination: Path) -> Callable[..., "subprocess.Popen[str]"]:
    """Start a process whose locks are broken."""

    def start(source: str, connections: int = 1) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [
                *(sys.executable, "-c", PROGRAM.format(flock=request.param)),
                *(source, NAME, str(destination), md5_of(BODY), str(connections)),
            ],
            cwd=PROJECT,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


def ends_well(process: "subprocess.Popen[str]") -> bool:
    _, said = process.communicate(timeout=120)
    # Whoever loses may end with an error, but not with one of the program itself.
    assert process.returncode == 0 or "Error: " in said.strip().splitlines()[-1], said
    return process.returncode == 0


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.mark.parametrize("connections", [1, 3])
def test_two_at_once_both_end_with_the_file(
    connections: int, start: Start, server: HostileServer, destination: Path
) -> None:
    server.accept_ranges = "bytes"
    server.script = [hostile.drip] * 8
    processes = [start(server.url, connections) for _ in range(2)]
    assert [ends_well(process) for process in processes] == [True, True]
    assert_only_file(destination)


def test_the_second_of_two_joins_in_the_middle(
    start: Start, server: HostileServer, other_server: HostileServer, destination: Path
) -> None:
    server.script = [hostile.trickle(100_000, 20_000, 0.1)]
    first = start(server.url)
    wait_until(lambda: bytes_of(partial_of(destination)) >= 100_000)
    # Of another source: it starts over.
    other_server.script = [hostile.trickle(50_000, 20_000, 0.1)]
    second = start(other_server.url_by_another_name)
    assert ends_well(first)
    assert ends_well(second)
    assert_only_file(destination)


def test_one_that_receives_wrong_bytes_does_not_spoil_the_others_file(
    start: Start, server: HostileServer, other_server: HostileServer, destination: Path
) -> None:
    server.script = [hostile.trickle(100_000, 20_000, 0.1)]
    first = start(server.url)
    wait_until(lambda: bytes_of(partial_of(destination)) >= 100_000)

    def wrong(handler: hostile.Handler) -> None:
        _, rest = handler.rest()
        handler.wfile.write(rest[:600] + bytes(byte ^ 1 for byte in rest[600:]))

    server.script += [wrong]
    second = start(server.url)
    assert ends_well(first) | ends_well(second)
    assert_only_file(destination)


@pytest.mark.parametrize("seed", range(4))
def test_the_partial_file_is_removed_emptied_and_replaced_meanwhile(
    seed: int, start: Start, server: HostileServer, destination: Path
) -> None:
    is_changed = threading.Event()
    server.script = [hostile.hold_at(50_000, is_changed)]
    first = start(server.url)
    wait_until(lambda: bytes_of(partial_of(destination)) == 50_000)
    partial = partial_of(destination)
    if seed == 0:
        partial.unlink()
    elif seed == 1:
        os.truncate(partial, 0)
    elif seed == 2:
        partial.rename(f"{partial}.elsewhere")
    else:
        other = partial.with_name("other")
        other.write_bytes(b"x" * 60_000)
        other.rename(partial)
    is_changed.set()
    well = ends_well(first)
    partial.with_name(f"{partial.name}.elsewhere").unlink(missing_ok=True)
    if not well:
        assert not destination.exists()
        assert ends_well(start(server.url))
    assert_only_file(destination)


# In one process, step by step ----------------------------------------------------------------------------------------


@pytest.fixture
def no_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    def flock(*_: object) -> None:
        return

    for module in (exclusive, named_file):
        monkeypatch.setattr(module.fcntl, "flock", flock)


def test_a_lock_that_everybody_gets_is_not_exclusive(tmp_path: Path, no_locks: None) -> None:
    with (tmp_path / "file").open("wb") as file:
        assert not has_exclusive_lock(file.fileno(), tmp_path / "file")


def test_without_a_working_lock_the_file_is_read_again_before_it_is_published(
    server: HostileServer, destination: Path, fetch: Fetch, no_locks: None
) -> None:
    fetch(server.url, destination)
    assert_only_file(destination)
    assert ("checking", len(BODY), len(BODY), BYTES) in fetch.calls


def test_bytes_that_another_process_has_changed_are_downloaded_again(
    server: HostileServer, destination: Path, fetch: Fetch, no_locks: None
) -> None:
    changed: list[bool] = []

    def change_once(stage: str, done: int, total: int | None, unit: str) -> None:
        if done > 100_000 and not changed:
            changed.append(True)
            with partial_of(destination).open("r+b") as file:
                file.write(b"not this")

    fetch(server.url, destination, progress=change_once)
    assert_only_file(destination)
    assert len(server.requests) == 2


@pytest.mark.parametrize("chunk", [1000, 1 << 20], ids=["before they are read", "after they are read"])
def test_bytes_that_change_while_they_are_verified_are_not_published(
    chunk: int,
    server: HostileServer,
    destination: Path,
    fetch: Fetch,
    no_locks: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(file_hash, "HASH_CHUNK", chunk)

    def change_while_checking(stage: str, done: int, total: int | None, unit: str) -> None:
        if stage == "checking":
            with partial_of(destination).open("r+b") as file:
                file.seek(done if done < len(BODY) else 600)
                file.write(os.urandom(8))

    is_read_before = chunk > len(BODY)
    with nullcontext() if is_read_before else pytest.raises(ChecksumError):
        fetch(server.url, destination, progress=change_while_checking)
    assert destination.exists() == is_read_before
    if is_read_before:
        assert_only_file(destination)


def test_a_process_that_does_not_see_that_the_file_is_published_does_not_write_into_it(
    server: HostileServer, destination: Path, fetch: Fetch, no_locks: None
) -> None:
    written_by_the_other: list[int] = []

    def open_as_the_other(stage: str, done: int, total: int | None, unit: str) -> None:
        if not written_by_the_other:
            written_by_the_other.append(os.open(partial_of(destination), os.O_RDWR))

    fetch(server.url, destination, progress=open_as_the_other)
    os.pwrite(written_by_the_other[0], b"written too late", 600)
    os.close(written_by_the_other[0])
    assert_only_file(destination)


def test_a_file_that_another_process_publishes_first_is_kept(
    server: HostileServer, destination: Path, fetch: Fetch, no_locks: None
) -> None:
    def publish(stage: str, done: int, total: int | None, unit: str) -> None:
        if done == total and not destination.exists():
            destination.write_bytes(b"of the other")

    fetch(server.url, destination, progress=publish)
    assert destination.read_bytes() == b"of the other"
    assert beside(destination) == [destination.name]


def test_a_record_of_another_file_of_this_name_is_not_written(
    server: HostileServer, destination: Path, fetch: Fetch, no_locks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partial_file, "RECORD_INTERVAL_BYTES", 1)
    leave_partial(server, destination)
    replaced: list[bool] = []

    def replace_once(stage: str, done: int, total: int | None, unit: str) -> None:
        if not replaced:
            replaced.append(True)
            partial_of(destination).unlink()
            partial_of(destination).write_bytes(b"of the other")

    fetch(server.url, destination, progress=replace_once)
    assert_only_file(destination)


def test_a_name_that_a_killed_process_left_beside_the_destination_is_removed(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    destination.write_bytes(BODY)
    os.link(destination, partial_of(destination))
    fetch(server.url, destination)
    assert_only_file(destination)
    assert server.requests == []
