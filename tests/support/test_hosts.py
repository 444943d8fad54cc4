import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reliability.kill import wait_until
from tests.support.hosts import Line, Network, mounted_through_fuse, network

pytestmark = pytest.mark.slow

_STALE = 1.0
_LISTEN = (
    "import socket; server = socket.create_server(('', 99)); print('ready'); [server.accept() for _ in iter(int, 1)]"
)
_CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], 99), timeout=1)"


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Network]:
    with network(tmp_path, ["first", "second"], sharing=["first", "second"], stale=_STALE) as made:
        yield made


def wait_for_line(lines: list[Line], count: int = 1) -> None:
    deadline = time.monotonic() + 60
    while len(lines) < count and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(lines) >= count


def is_running(pid: int) -> bool:
    try:
        # Of a zombie it is empty.
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""
    except FileNotFoundError:
        return False


def test_each_host_has_a_name_of_its_own(two: Network) -> None:
    assert [host.run("hostname") for host in two.hosts] == ["first", "second"]


def test_a_host_that_is_cut_off_is_not_reached_until_it_is_back(two: Network) -> None:
    first, second = two.hosts
    server = first.start("python3", "-c", _LISTEN)
    wait_for_line(server.lines)

    def connect() -> int:
        return second.start("python3", "-c", _CONNECT, first.address).wait(30)

    assert wait_until(lambda: connect() == 0, 60)
    first.cut_off()
    assert connect() != 0
    first.bring_back()
    assert wait_until(lambda: connect() == 0, 60)


def test_hosts_see_one_folder_under_one_path(two: Network) -> None:
    first, second = two.hosts
    first.run("sh", "-c", f"echo hello > {two.shared}/greeting")
    assert second.run("cat", two.shared / "greeting") == "hello"
    assert (two.disk / "greeting").read_text() == "hello\n"


def test_a_new_file_of_another_host_is_not_seen_for_a_while(two: Network) -> None:
    first, second = two.hosts
    path = two.shared / "output"
    assert first.mount is not None
    assert second.mount is not None
    # By calls of this process: on a busy machine, to start another one takes longer than the time of a cache.
    assert not (second.mount / "output").exists()
    (first.mount / "output").touch()
    assert not (second.mount / "output").exists()
    first.run("test", "-e", path)
    assert wait_until(lambda: second.start("test", "-e", path).wait(60) == 0, 60)


def test_the_size_of_a_file_that_another_host_changes_is_the_old_one_for_a_while(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with mounted_through_fuse(folder, tmp_path / "mount", _STALE) as mount:
        (folder / "file").write_bytes(b"12")
        assert (mount / "file").stat().st_size == 2
        (folder / "file").write_bytes(b"1234")
        assert (mount / "file").stat().st_size == 2
        assert wait_until(lambda: (mount / "file").stat().st_size == 4, 60)


def test_a_lock_holds_on_one_host_only(two: Network) -> None:
    first, second = two.hosts
    lock = two.shared / "lock"
    holder = first.start("flock", lock, "sh", "-c", "echo held; sleep 60")
    wait_for_line(holder.lines)
    assert first.start("flock", "--nonblock", lock, "true").wait(60) == 1
    assert second.start("flock", "--nonblock", lock, "true").wait(60) == 0


def test_nothing_is_left_of_hosts_after_a_failure(tmp_path: Path) -> None:
    name = f"only{os.getpid()}"
    programs = []
    with pytest.raises(ZeroDivisionError), network(tmp_path, [name], sharing=[name]) as made:
        programs.append(made.hosts[0].start("sh", "-c", "setsid sleep 600 & echo $!; wait"))
        wait_for_line(programs[0].lines)
        raise ZeroDivisionError
    assert not is_running(int(programs[0].said()))
    assert programs[0].wait(60) == -signal.SIGKILL
    assert str(tmp_path) not in Path("/proc/mounts").read_text()
    assert name not in subprocess.run(["ip", "netns", "list"], capture_output=True, text=True).stdout
