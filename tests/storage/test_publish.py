import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from luigi_ilsvrc.storage.publish import new_file, new_folder, partial_path

Publish = Callable[[Path], AbstractContextManager[Path]]
Fill = Callable[[Path], object]


def fill_file(path: Path) -> None:
    path.write_text("whole")


def fill_folder(path: Path) -> None:
    (path / "deep").mkdir()
    (path / "deep" / "file").write_text("whole")


KINDS = pytest.mark.parametrize(
    ("publish", "fill"),
    [pytest.param(new_file, fill_file, id="file"), pytest.param(new_folder, fill_folder, id="folder")],
)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "new" / "output"


def text_in(output: Path) -> str:
    return (output if output.is_file() else output / "deep" / "file").read_text()


def is_empty(path: Path) -> bool:
    return path.read_bytes() == b"" if path.is_file() else os.listdir(path) == []


# One process ---------------------------------------------------------------------------------------------------------


@KINDS
def test_an_output_appears_when_it_is_complete(output: Path, publish: Publish, fill: Fill) -> None:
    with publish(output) as path:
        fill(path)
        assert not output.exists()
    assert text_in(output) == "whole"
    assert os.listdir(output.parent) == ["output"]


@KINDS
def test_an_output_is_made_beside_its_place_and_empty_at_first(output: Path, publish: Publish, fill: Fill) -> None:
    with publish(output) as path:
        assert path == partial_path(output) == output.with_name("output.partial")
        assert is_empty(path)


@KINDS
def test_nothing_is_left_of_an_output_that_fails(output: Path, publish: Publish, fill: Fill) -> None:
    with pytest.raises(RuntimeError), publish(output) as path:
        fill(path)
        raise RuntimeError
    assert os.listdir(output.parent) == []


@KINDS
def test_nothing_is_left_of_an_output_that_is_interrupted(output: Path, publish: Publish, fill: Fill) -> None:
    with pytest.raises(KeyboardInterrupt), publish(output) as path:
        fill(path)
        raise KeyboardInterrupt
    assert os.listdir(output.parent) == []


@KINDS
def test_an_output_that_is_there_already_is_kept(output: Path, publish: Publish, fill: Fill) -> None:
    for is_first in (True, False):
        with publish(output) as path:
            if is_first:
                fill(path)
    assert text_in(output) == "whole"
    assert os.listdir(output.parent) == ["output"]


@KINDS
def test_a_link_under_the_temporary_name_is_not_followed(
    output: Path, publish: Publish, fill: Fill, tmp_path: Path
) -> None:
    with publish(tmp_path / "other") as path:
        fill(path)
    output.parent.mkdir()
    partial_path(output).symlink_to(tmp_path / "other")
    with pytest.raises(OSError), publish(output):
        pass
    assert text_in(tmp_path / "other") == "whole"


def test_links_that_a_killed_process_left_in_a_folder_are_removed_and_not_followed(
    output: Path, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    fill_folder(tmp_path / "other")
    partial_path(output).mkdir(parents=True)
    (partial_path(output) / "link").symlink_to(tmp_path / "other")
    with new_folder(output) as path:
        assert is_empty(path)
    assert text_in(tmp_path / "other") == "whole"


# Several processes ---------------------------------------------------------------------------------------------------


def die_while_writing(publish: Publish, output: Path, fill: Fill) -> None:
    with publish(output) as path:
        fill(path)
        os.kill(os.getpid(), signal.SIGKILL)


@KINDS
def test_what_a_killed_process_left_is_cleared_by_the_next(output: Path, publish: Publish, fill: Fill) -> None:
    process = multiprocessing.Process(target=die_while_writing, args=(publish, output, fill))
    process.start()
    process.join()
    assert os.listdir(output.parent) == ["output.partial"]
    with publish(output) as path:
        assert is_empty(path)
        fill(path)
    assert os.listdir(output.parent) == ["output"]


def write_slowly(publish: Publish, output: Path, fill: Fill, inside: Connection) -> None:
    with publish(output) as path:
        fill(path)
        inside.send(True)
        time.sleep(0.3)


@KINDS
def test_a_second_process_waits_for_the_first_and_finds_its_output(output: Path, publish: Publish, fill: Fill) -> None:
    inside, sender = multiprocessing.Pipe()
    process = multiprocessing.Process(target=write_slowly, args=(publish, output, fill, sender))
    process.start()
    inside.recv()
    assert not output.exists()
    with publish(output):
        assert output.exists()
    process.join()
    assert os.listdir(output.parent) == ["output"]
    assert text_in(output) == "whole"


def fail_slowly(publish: Publish, output: Path, fill: Fill, inside: Connection) -> None:
    with publish(output) as path:
        fill(path)
        inside.send(True)
        time.sleep(0.3)
        os._exit(1)


@KINDS
def test_a_second_process_makes_the_output_if_the_first_dies(output: Path, publish: Publish, fill: Fill) -> None:
    inside, sender = multiprocessing.Pipe()
    process = multiprocessing.Process(target=fail_slowly, args=(publish, output, fill, sender))
    process.start()
    inside.recv()
    with publish(output) as path:
        assert not output.exists()
        assert is_empty(path)
        fill(path)
    process.join()
    assert text_in(output) == "whole"


def publish_own_number(publish: Publish, output: Path, number: int) -> None:
    with publish(output) as path:
        (path if path.is_file() else path / "number").write_text(str(number))


@KINDS
def test_of_many_processes_at_once_one_publishes_and_nothing_else_is_left(
    output: Path, publish: Publish, fill: Fill
) -> None:
    processes = [multiprocessing.Process(target=publish_own_number, args=(publish, output, n)) for n in range(8)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 8
    assert os.listdir(output.parent) == ["output"]
    assert int((output if output.is_file() else output / "number").read_text()) in range(8)
