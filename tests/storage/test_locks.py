import errno
import fcntl
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from luigi_ilsvrc.storage.locks import locked, locked_if_free, output_lock
from tests.reliability.kill import wait_until

_PATIENCE = 60.0


def open_file(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.touch()
    return path


@pytest.fixture
def messages() -> Iterator[list[str]]:
    """What the module logs; `caplog` has nothing of it once Luigi's log has taken it over."""
    messages: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    logger, collector = logging.getLogger("luigi_ilsvrc.storage.locks"), Collector()
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(collector)
    yield messages
    logger.removeHandler(collector)
    logger.setLevel(level)


def end_when_waited_for(messages: list[str]) -> Event:
    """Return an event that is set when the module has logged that it waits."""
    event = multiprocessing.Event()

    def wait() -> None:
        wait_until(lambda: bool(messages), _PATIENCE)
        event.set()

    threading.Thread(target=wait, daemon=True).start()
    return event


def hold(path: Path, inside: Connection, end: Event, rename_to: Path | None) -> None:
    with locked(path, open_file):
        inside.send(True)
        end.wait(_PATIENCE)
        if rename_to:
            path.rename(rename_to)


def start_holder(path: Path, end: Event, rename_to: Path | None = None) -> multiprocessing.Process:
    """Start a process that holds the lock until an event; return when it has it."""
    inside, sender = multiprocessing.Pipe()
    process = multiprocessing.Process(target=hold, args=(path, sender, end, rename_to))
    process.start()
    inside.recv()
    return process


@pytest.fixture
def holder(path: Path) -> Iterator[multiprocessing.Process]:
    """A process that holds the lock of a file until it is killed."""
    process = start_holder(path, multiprocessing.Event())
    yield process
    process.kill()
    process.join()


# Waiting for a lock --------------------------------------------------------------------------------------------------


def test_a_lock_gives_the_descriptor_of_the_file_and_closes_it(path: Path) -> None:
    with locked(path, open_file) as descriptor:
        assert os.path.samestat(os.fstat(descriptor), path.stat())
    with pytest.raises(OSError):
        os.fstat(descriptor)


def test_a_missing_file_is_made_by_the_function_that_opens_it(tmp_path: Path) -> None:
    with locked(tmp_path / "new", open_file):
        assert (tmp_path / "new").exists()


def test_a_lock_of_another_process_is_waited_for_and_logged_once(path: Path, messages: list[str]) -> None:
    process = start_holder(path, end_when_waited_for(messages))
    with locked(path, open_file):
        process.join(timeout=30)
        assert process.exitcode == 0
    assert len(messages) == 1
    assert str(path) in messages[0]


def test_a_lock_that_nobody_holds_is_not_logged(path: Path, messages: list[str]) -> None:
    with locked(path, open_file):
        pass
    assert messages == []


def test_a_lock_ends_with_a_process_that_is_killed(path: Path, holder: multiprocessing.Process) -> None:
    assert holder.pid is not None
    os.kill(holder.pid, signal.SIGKILL)
    with locked(path, open_file):
        pass


def test_a_lock_ends_with_an_exception(path: Path) -> None:
    with pytest.raises(RuntimeError), locked(path, open_file):
        raise RuntimeError
    with locked_if_free(path) as is_free:
        assert is_free


def test_if_the_former_owner_has_renamed_the_file_a_new_one_is_locked(
    path: Path, tmp_path: Path, messages: list[str]
) -> None:
    process = start_holder(path, end_when_waited_for(messages), rename_to=tmp_path / "published")
    with locked(path, open_file) as descriptor:
        process.join()
        assert not os.path.samestat(os.fstat(descriptor), (tmp_path / "published").stat())
        assert os.path.samestat(os.fstat(descriptor), path.stat())


NO_LOCKS = [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF, errno.ESTALE]


@pytest.fixture(params=NO_LOCKS, ids=lambda code: errno.errorcode[code])
def without_locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that refuses locks."""

    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", refuse)


@pytest.mark.usefixtures("without_locks")
def test_a_file_system_without_locks_is_logged_and_the_work_goes_on(path: Path, messages: list[str]) -> None:
    with locked(path, open_file) as descriptor:
        assert os.path.samestat(os.fstat(descriptor), path.stat())
    assert len(messages) == 1
    assert str(path) in messages[0]


def test_if_the_file_system_no_longer_knows_the_file_the_work_goes_on(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def be_stale(first: os.stat_result, second: os.stat_result) -> bool:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    monkeypatch.setattr(os.path, "samestat", be_stale)
    with locked(path, open_file) as descriptor:
        assert descriptor >= 0


def test_a_lock_that_is_given_to_everybody_is_no_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", lambda descriptor, operation: None)
    with locked(path, open_file) as first, locked(path, open_file) as second:
        assert first != second


# The lock of an output -----------------------------------------------------------------------------------------------


def make_output(directory: Path, end: Event, inside: Connection) -> None:
    with output_lock(directory / "locks" / "output", directory / "output"):
        inside.send(True)
        end.wait(_PATIENCE)
        (directory / "output").touch()


def test_a_second_process_waits_until_the_output_is_made_and_says_for_which(
    tmp_path: Path, messages: list[str]
) -> None:
    inside, sender = multiprocessing.Pipe()
    process = multiprocessing.Process(target=make_output, args=(tmp_path, end_when_waited_for(messages), sender))
    process.start()
    inside.recv()
    with output_lock(tmp_path / "locks" / "output", tmp_path / "output"):
        assert (tmp_path / "output").exists()
    process.join()
    assert [str(tmp_path / "output") in message for message in messages] == [True]


def test_only_a_regular_file_of_its_own_is_locked_and_nothing_is_left_of_it(tmp_path: Path) -> None:
    lock = tmp_path / "locks" / "output"
    with output_lock(lock, tmp_path / "output"):
        assert lock.is_file()
        assert os.listdir(tmp_path) == ["locks"]
    assert os.listdir(tmp_path / "locks") == []


def test_nothing_is_left_of_the_lock_of_an_output_that_fails(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), output_lock(tmp_path / "locks" / "output", tmp_path / "output"):
        raise RuntimeError
    assert os.listdir(tmp_path / "locks") == []


def test_the_lock_that_a_killed_process_left_is_in_nobodys_way(tmp_path: Path) -> None:
    inside, sender = multiprocessing.Pipe()
    process = multiprocessing.Process(target=make_output, args=(tmp_path, multiprocessing.Event(), sender))
    process.start()
    inside.recv()
    process.kill()
    process.join()
    with output_lock(tmp_path / "locks" / "output", tmp_path / "output"):
        pass
    assert os.listdir(tmp_path / "locks") == []


def test_a_link_in_the_place_of_a_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / "output").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError), output_lock(tmp_path / "locks" / "output", tmp_path / "output"):
        pass
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.usefixtures("without_locks")
def test_an_output_is_made_without_a_lock_if_there_are_none(tmp_path: Path) -> None:
    with output_lock(tmp_path / "locks" / "output", tmp_path / "output"):
        (tmp_path / "output").touch()
    assert sorted(os.listdir(tmp_path)) == ["locks", "output"]


# Trying a lock -------------------------------------------------------------------------------------------------------


def test_a_file_that_nobody_has_locked_is_free(path: Path) -> None:
    with locked_if_free(path) as is_free:
        assert is_free


@pytest.mark.usefixtures("holder")
def test_a_file_that_another_process_has_locked_is_not_free(path: Path) -> None:
    with locked_if_free(path) as is_free:
        assert not is_free


def test_a_file_that_is_free_is_locked_meanwhile(path: Path) -> None:
    with locked_if_free(path) as is_free, locked_if_free(path) as is_free_again:
        assert (is_free, is_free_again) == (True, False)


def test_a_missing_file_is_not_free(tmp_path: Path) -> None:
    with locked_if_free(tmp_path / "none") as is_free:
        assert not is_free


def test_a_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(OSError), locked_if_free(tmp_path / "link"):
        pass
