import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from luigi_ilsvrc.tasks.targets import WholeDirectoryTarget, WholeTarget

Fill = Callable[[Path], object]


def write_file(path: Path) -> None:
    path.write_text("whole")


def write_folder(path: Path) -> None:
    (path / "deep").mkdir()
    (path / "deep" / "file").write_text("whole")


KINDS = pytest.mark.parametrize(("kind", "fill"), [(WholeTarget, write_file), (WholeDirectoryTarget, write_folder)])


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "new" / "output"


@KINDS
def test_an_output_appears_when_it_is_complete(output: Path, kind: type[WholeTarget], fill: Fill) -> None:
    with kind(output).temporary_path() as temporary:
        fill(Path(temporary))
        assert not output.exists()
    assert output.exists()
    assert os.listdir(output.parent) == ["output"]


@KINDS
def test_nothing_is_left_of_an_output_that_fails(output: Path, kind: type[WholeTarget], fill: Fill) -> None:
    with pytest.raises(RuntimeError), kind(output).temporary_path() as temporary:
        fill(Path(temporary))
        raise RuntimeError
    assert os.listdir(output.parent) == []


def die_while_writing(kind: type[WholeTarget], output: Path, fill: Fill) -> None:
    with kind(output).temporary_path() as temporary:
        fill(Path(temporary))
        os.kill(os.getpid(), signal.SIGKILL)


@KINDS
def test_what_a_killed_process_left_is_cleared_by_the_next(output: Path, kind: type[WholeTarget], fill: Fill) -> None:
    process = multiprocessing.Process(target=die_while_writing, args=(kind, output, fill))
    process.start()
    process.join()
    assert os.listdir(output.parent) == ["output.partial"]
    with kind(output).temporary_path() as temporary:
        left = Path(temporary)
        assert left.read_text() == "" if left.is_file() else os.listdir(left) == []
        fill(left)
    assert os.listdir(output.parent) == ["output"]


def write_slowly(kind: type[WholeTarget], output: Path, fill: Fill, inside: Connection) -> None:
    with kind(output).temporary_path() as temporary:
        fill(Path(temporary))
        inside.send(True)
        time.sleep(0.3)


@KINDS
def test_a_second_process_waits_for_the_first_and_finds_its_output(
    output: Path, kind: type[WholeTarget], fill: Fill
) -> None:
    inside, told = multiprocessing.Pipe()
    process = multiprocessing.Process(target=write_slowly, args=(kind, output, fill, told))
    process.start()
    inside.recv()
    assert not output.exists()
    target = kind(output)
    with target.temporary_path():
        assert target.exists()
    process.join()
    assert os.listdir(output.parent) == ["output"]
    assert (output if output.is_file() else output / "deep" / "file").read_text() == "whole"
