import os
import time
from multiprocessing import Process
from pathlib import Path

import pytest

from luigi_ilsvrc.storage.temporary import is_abandoned, output_name, partial_path, temporary_path
from tests.support.abandoned import left_by_a_dead_process, left_by_another_host

HOUR = 3600.0


# Names ---------------------------------------------------------------------------------------------------------------


def test_a_temporary_name_lies_beside_the_output_and_is_given_once(tmp_path: Path) -> None:
    names = {temporary_path(tmp_path / "output") for _ in range(100)}
    assert len(names) == 100
    assert {path.parent for path in names} == {tmp_path}


@pytest.mark.parametrize("name", ["train-00000-of-00008", "training_images.tar", "n01440764", "build.json"])
def test_the_output_of_a_temporary_name_is_told(tmp_path: Path, name: str) -> None:
    assert output_name(temporary_path(tmp_path / name).name) == name


@pytest.mark.parametrize("name", ["output", "output.partial", "thesis.old.partial", "", ".partial"])
def test_other_names_are_not_temporary(name: str) -> None:
    assert output_name(name) is None


def test_the_partial_file_of_a_download_has_always_the_same_name(tmp_path: Path) -> None:
    assert partial_path(tmp_path / "images.tar") == tmp_path / "images.tar.partial"
    assert output_name("images.tar.partial") is None


# Whether somebody is writing -----------------------------------------------------------------------------------------


def begun(path: Path) -> Path:
    temporary = temporary_path(path)
    temporary.touch()
    return temporary


def test_what_a_living_process_writes_is_not_abandoned_however_old(tmp_path: Path) -> None:
    assert not is_abandoned(begun(tmp_path / "output"), max_age=0, now=time.time() + 1000 * HOUR)


def test_what_a_dead_process_left_is_abandoned_at_once(tmp_path: Path) -> None:
    assert is_abandoned(left_by_a_dead_process(tmp_path / "output"), max_age=1000 * HOUR, now=time.time())


def test_another_process_of_the_same_number_does_not_keep_it(tmp_path: Path) -> None:
    host_and_pid, start, rest = begun(tmp_path / "output").name.rsplit("-", 2)
    path = tmp_path / f"{host_and_pid}-{int(start) + 1}-{rest}"
    path.touch()
    assert is_abandoned(path, max_age=1000 * HOUR, now=time.time())


def test_a_process_that_nobody_has_waited_for_has_ended(tmp_path: Path) -> None:
    process = Process(target=begun, args=(tmp_path / "output",))
    process.start()
    assert process.pid is not None
    # It stays a zombie until it is waited for.
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    [left] = tmp_path.iterdir()
    assert is_abandoned(left, max_age=1000 * HOUR, now=time.time())
    process.join()


@pytest.mark.parametrize("is_folder", [False, True])
def test_what_another_host_left_is_abandoned_if_it_has_not_changed_for_long(tmp_path: Path, is_folder: bool) -> None:
    path = left_by_another_host(tmp_path / "output", 2 * HOUR, is_folder=is_folder)
    assert not is_abandoned(path, max_age=3 * HOUR, now=time.time())
    assert is_abandoned(path, max_age=HOUR, now=time.time())


def test_a_folder_of_another_host_in_which_something_changes_is_not_abandoned(tmp_path: Path) -> None:
    path = left_by_another_host(tmp_path / "output", 2 * HOUR, is_folder=True)
    (path / "n01440764").mkdir()
    os.utime(path, (time.time() - 2 * HOUR,) * 2)
    assert not is_abandoned(path, max_age=HOUR, now=time.time())


def test_a_name_that_tells_no_owner_is_abandoned_by_its_age(tmp_path: Path) -> None:
    (tmp_path / "shard.partial").touch()
    now = time.time()
    assert not is_abandoned(tmp_path / "shard.partial", max_age=2 * HOUR, now=now + HOUR)
    assert is_abandoned(tmp_path / "shard.partial", max_age=2 * HOUR, now=now + 3 * HOUR)


def test_what_is_gone_in_the_meantime_is_not_abandoned(tmp_path: Path) -> None:
    path = left_by_another_host(tmp_path / "output", 2 * HOUR)
    path.unlink()
    assert not is_abandoned(path, max_age=HOUR, now=time.time())
