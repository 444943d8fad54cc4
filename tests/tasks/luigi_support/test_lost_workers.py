"""Tasks of workers that were killed, or whose host is gone."""

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from luigi.rpc import RemoteScheduler
from luigi.worker import Worker

from luigi_ilsvrc.tasks.luigi_support.lost_workers import LostWorkerWatch
from tests.reliability.kill import wait_until
from tests.reliability.tiny_tasks import Tiny
from tests.support.running import luigid


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[Any]:
    with luigid(tmp_path) as port:
        yield RemoteScheduler(f"http://127.0.0.1:{port}")


@pytest.fixture
def task(tmp_path: Path) -> Tiny:
    return Tiny(data_dir=tmp_path / "data", number=1)


@pytest.fixture
def worker(scheduler: Any, task: Tiny) -> Worker:
    """A worker that has scheduled the task."""
    worker = Worker(scheduler=scheduler, worker_id="ours")
    worker.add(task)
    return worker


@pytest.fixture
def ended_pid() -> int:
    """The number of a process that has ended."""
    with subprocess.Popen(["true"]) as process:
        pass
    return process.pid


Run = Callable[[str, int], None]


@pytest.fixture
def run_elsewhere(scheduler: Any, worker: Worker) -> Run:
    """Give the task to another worker, which never says anything again."""

    def run(host: str, pid: int) -> None:
        scheduler.add_worker("other", [("host", host), ("pid", pid)])
        assert scheduler.get_work(worker="other", host=host, assistant=True)["task_id"]

    return run


def status(scheduler: Any) -> str:
    [status] = scheduler.task_search("Tiny")
    return str(status)


def look(worker: Worker, *moments: float) -> None:
    """Let a new watch look at some moments, in seconds."""
    watch = LostWorkerWatch(worker)
    for moment in moments:
        watch.look(moment)


def test_the_task_of_a_process_that_is_gone_from_this_host_is_given_out_again(
    scheduler: Any, worker: Worker, run_elsewhere: Run, ended_pid: int
) -> None:
    run_elsewhere(socket.gethostname(), ended_pid)
    look(worker, 0, 6)
    assert status(scheduler) == "PENDING"
    assert scheduler.get_work(worker="ours", host="here")["task_id"]


def test_a_process_that_gave_a_sign_of_life_just_now_is_not_gone(
    scheduler: Any, worker: Worker, run_elsewhere: Run, ended_pid: int
) -> None:
    # In a container of the same name, for example.
    run_elsewhere(socket.gethostname(), ended_pid)
    watch = LostWorkerWatch(worker)
    watch.look(0)
    scheduler.ping(worker="other")
    watch.look(6)
    assert status(scheduler) == "RUNNING"


def test_a_silent_process_that_runs_on_this_host_keeps_its_task_for_a_minute(
    scheduler: Any, worker: Worker, run_elsewhere: Run
) -> None:
    run_elsewhere(socket.gethostname(), os.getpid())
    look(worker, 0, 59)
    assert status(scheduler) == "RUNNING"


def test_the_task_of_a_worker_on_another_host_is_given_out_again_after_a_minute_of_silence(
    scheduler: Any, worker: Worker, run_elsewhere: Run, ended_pid: int
) -> None:
    run_elsewhere("elsewhere", ended_pid)
    look(worker, 0, 59)
    assert status(scheduler) == "RUNNING"
    look(worker, 0, 61)
    assert status(scheduler) == "PENDING"


def test_a_task_that_this_worker_has_not_scheduled_is_left_alone(
    scheduler: Any, worker: Worker, ended_pid: int
) -> None:
    scheduler.add_task(worker="somebody", task_id="theirs", status="PENDING", priority=100)
    scheduler.add_worker("other", [("host", socket.gethostname()), ("pid", ended_pid)])
    assert scheduler.get_work(worker="other", host="", assistant=True)["task_id"] == "theirs"
    look(worker, 0, 100)
    [found] = scheduler.task_search("theirs")
    assert found == "RUNNING"


def test_what_the_task_takes_of_resources_and_its_priority_stay(
    scheduler: Any, worker: Worker, run_elsewhere: Run, ended_pid: int
) -> None:
    [before] = scheduler.task_search("Tiny")["PENDING"].values()
    run_elsewhere(socket.gethostname(), ended_pid)
    look(worker, 0, 6)
    [after] = scheduler.task_search("Tiny")["PENDING"].values()
    kept = ("params", "priority", "resources", "workers")
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}


def test_a_task_that_luigid_has_failed_with_its_worker_is_given_out_again(
    tmp_path: Path, task: Tiny, ended_pid: int
) -> None:
    # luigid reads it: it drops the worker before the watch would.
    (tmp_path / "luigi.cfg").write_text("[scheduler]\nworker_disconnect_delay = 3\n")
    with luigid(tmp_path) as port:
        scheduler: Any = RemoteScheduler(f"http://127.0.0.1:{port}")
        worker = Worker(scheduler=scheduler, worker_id="ours")
        worker.add(task)
        scheduler.add_worker("other", [("host", "elsewhere"), ("pid", ended_pid)])
        assert scheduler.get_work(worker="other", host="elsewhere", assistant=True)["task_id"]
        # The worker's own watch has begun to look; the other worker does not vanish at once.
        time.sleep(4)
        scheduler.ping(worker="ours")
        assert wait_until(lambda: status(scheduler) == "PENDING", 60)


def test_a_task_whose_output_is_there_is_not_given_out_again(
    scheduler: Any, worker: Worker, run_elsewhere: Run, ended_pid: int, task: Tiny
) -> None:
    run_elsewhere(socket.gethostname(), ended_pid)
    task.run()
    look(worker, 0, 6)
    assert status(scheduler) == "DONE"


def test_a_task_that_failed_by_itself_is_not_given_out_again(
    scheduler: Any, worker: Worker, run_elsewhere: Run, task: Tiny
) -> None:
    run_elsewhere("elsewhere", 1)
    scheduler.add_task(worker="other", task_id=task.task_id, status="FAILED", expl='"it has failed"', assistant=True)
    assert not LostWorkerWatch(worker).has_given_out()
    assert status(scheduler) == "FAILED"
