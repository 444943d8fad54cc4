import os
import queue
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import luigi
import pytest
from luigi.worker import ContextManagedTaskProcess, Worker

from luigi_ilsvrc.tasks.base import ILSVRCTask
from luigi_ilsvrc.tasks.luigi_support.processes import BuildProcess, ReportingProcess
from luigi_ilsvrc.tasks.luigi_support.result_queue import ResultQueue
from tests.reliability.kill_children import TinyBuild
from tests.reliability.tiny_tasks import PlainTiny, Tiny
from tests.support.running import PROJECT


def worker_with(*tasks: luigi.Task, processes: int = 2) -> Worker:
    worker = Worker(worker_processes=processes)
    for task in tasks:
        worker.add(task)
    return worker


def test_a_worker_that_runs_none_of_our_tasks_does_as_before(tmp_path: Path) -> None:
    plain = PlainTiny(data_dir=str(tmp_path), number=1)
    worker = worker_with(plain, processes=1)
    assert type(worker._create_task_process(plain)) is ContextManagedTaskProcess
    assert worker.run()
    assert isinstance(worker._task_result_queue, Queue)


def test_a_worker_that_runs_ours_has_the_queue_before_it_starts_any(tmp_path: Path) -> None:
    worker = worker_with(PlainTiny(data_dir=str(tmp_path), number=1), Tiny(data_dir=tmp_path, number=2), processes=1)
    assert worker.run()
    results: Any = worker._task_result_queue
    assert isinstance(results, ResultQueue)
    results.close()


def test_a_task_that_comes_later_changes_the_queue_and_loses_no_result(tmp_path: Path) -> None:
    worker = worker_with(PlainTiny(data_dir=str(tmp_path), number=1))
    worker._task_result_queue.put("early")
    assert type(worker._create_task_process(Tiny(data_dir=tmp_path, number=2))) is BuildProcess
    results: Any = worker._task_result_queue
    assert isinstance(results, ResultQueue)
    assert results.get(timeout=10) == "early"
    with pytest.raises(queue.Empty):
        results.get(timeout=0.01)
    results.close()


def test_a_task_that_runs_in_the_worker_does_not_change_the_workers_signals(tmp_path: Path) -> None:
    worker = worker_with(processes=1)
    assert type(worker._create_task_process(Tiny(data_dir=tmp_path, number=2))) is ReportingProcess


def test_a_system_without_the_sockets_keeps_luigis_queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = socket.socketpair

    def refuse(family: int, kind: int) -> object:
        if kind == socket.SOCK_SEQPACKET:
            raise OSError
        return pairs(family, kind)

    monkeypatch.setattr("socket.socketpair", refuse)
    worker = worker_with(Tiny(data_dir=tmp_path, number=2), processes=1)
    assert worker.run()
    assert isinstance(worker._task_result_queue, Queue)


# How children end ----------------------------------------------------------------------------------------------------

PROGRAM = """
import multiprocessing, sys, threading, time
from pathlib import Path
import luigi
from tests.tasks.luigi_support.test_processes import Sleeper

if __name__ == "__main__":
    method, directory, thread = sys.argv[1:]
    multiprocessing.set_start_method(method)
    tasks = [Sleeper(directory=directory, number=number) for number in range(2)]
    build = lambda: luigi.build(tasks, workers=2, local_scheduler=True)
    if thread == "thread":
        other = threading.Thread(target=build)
        other.start()
        other.join()
    else:
        build()
"""


class Sleeper(ILSVRCTask):
    """Writes its process id and sleeps until a file is there."""

    directory = luigi.Parameter()
    number = luigi.IntParameter()

    def complete(self) -> bool:
        return Path(self.directory, f"{self.number}.done").exists()

    def run(self) -> None:
        new = Path(self.directory, f"{self.number}.new")
        new.write_text(str(os.getpid()))
        new.rename(new.with_suffix(".pid"))
        while not Path(self.directory, "wake").exists():
            time.sleep(0.02)
        Path(self.directory, f"{self.number}.done").touch()


@pytest.fixture(params=["fork", "spawn", "forkserver"])
def method(request: pytest.FixtureRequest) -> Iterator[str]:
    yield request.param


@pytest.fixture(params=["main", "thread"])
def build(request: pytest.FixtureRequest, method: str, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A build with two children that sleep."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    config = tmp_path / "luigi.cfg"
    # In a thread, Luigi asks for it.
    config.write_text("[worker]\nno_install_shutdown_handler = true\nwait_interval = 0.1\nwait_jitter = 0\n")
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "LUIGI_CONFIG_PATH": str(config)}
    with subprocess.Popen(
        [sys.executable, program, method, tmp_path, request.param], env=environment, start_new_session=True
    ) as process:
        try:
            wait_until_all(lambda: [(tmp_path / f"{number}.pid").exists() for number in range(2)])
            yield process
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)


def wait_until_all(answers: Any, within: float = 120) -> None:
    deadline = time.monotonic() + within
    while not all(answers()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


@pytest.mark.slow
def test_children_do_their_work_however_they_were_started(build: subprocess.Popen[bytes], tmp_path: Path) -> None:
    time.sleep(0.5)
    assert not any(is_gone(int(file.read_text())) for file in tmp_path.glob("*.pid"))
    (tmp_path / "wake").touch()
    assert build.wait(120) == 0
    assert len(list(tmp_path.glob("*.done"))) == 2


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_children_end_with_their_worker_however_they_were_started(
    build: subprocess.Popen[bytes], tmp_path: Path, number: int
) -> None:
    build.send_signal(number)
    children = [int(file.read_text()) for file in tmp_path.glob("*.pid")]
    wait_until_all(lambda: map(is_gone, children), within=60)


@pytest.mark.slow
def test_children_of_a_worker_that_ignores_interrupts_ignore_them_too(tmp_path: Path) -> None:
    # As in the background of a shell script.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        build = TinyBuild("Tinies", tmp_path / "data", count=30, workers=2)
    finally:
        signal.signal(signal.SIGINT, before)
    while build.worker.poll() is None:
        os.killpg(build.worker.pid, signal.SIGINT)
        time.sleep(0.01)
    assert build.wait() == 0, build.said()
