"""The connection to a luigid that is away, or answers late."""

import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from luigi.rpc import RemoteScheduler, RPCError
from luigi.scheduler import Scheduler
from luigi.worker import TaskStatusReporter

from luigi_ilsvrc.tasks.luigi_support.scheduler_link import BackgroundReporter, is_remote, wait_for, without_retries
from tests.reliability.kill import wait_until
from tests.support.running import luigid


@pytest.fixture
def silent() -> Iterator[RemoteScheduler]:
    """A scheduler that takes connections and answers nothing."""
    with closing(socket.socket()) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield RemoteScheduler(f"http://127.0.0.1:{listening.getsockname()[1]}")


@pytest.fixture
def away() -> Any:
    """A scheduler whose port nobody listens on."""
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        return RemoteScheduler(f"http://127.0.0.1:{free.getsockname()[1]}")


def reporter_of(scheduler: object) -> BackgroundReporter:
    return BackgroundReporter(TaskStatusReporter(scheduler, "task", "worker", None))


def report(reporter: TaskStatusReporter) -> None:
    for number in range(100):
        reporter.update_status_message(f"{number}")
        reporter.update_progress_percentage(number)
        reporter.update_tracking_url("http://127.0.0.1/")


def test_a_task_does_not_wait_for_a_scheduler_that_does_not_answer(silent: Any) -> None:
    started = time.monotonic()
    report(reporter_of(silent))
    assert time.monotonic() - started < 30


def test_a_task_does_not_fail_if_the_scheduler_is_away(away: Any) -> None:
    report(reporter_of(away))
    time.sleep(0.3)
    report(reporter_of(away))


def test_the_newest_report_arrives(tmp_path: Path) -> None:
    with luigid(tmp_path) as port:
        scheduler: Any = RemoteScheduler(f"http://127.0.0.1:{port}")
        scheduler.add_task(worker="worker", task_id="task", status="PENDING")
        reporter = reporter_of(scheduler)
        report(reporter)
        assert wait_until(lambda: scheduler.get_task_status_message("task")["statusMessage"] == "99", 60)
        assert wait_until(lambda: scheduler.get_task_progress_percentage("task")["progressPercentage"] == 99, 60)


def test_a_task_that_has_ended_is_never_said_to_be_running(tmp_path: Path) -> None:
    with luigid(tmp_path) as port:
        scheduler: Any = RemoteScheduler(f"http://127.0.0.1:{port}")
        for number in range(50):
            reporter = BackgroundReporter(TaskStatusReporter(scheduler, f"task-{number}", "worker", None))
            reporter.update_tracking_url("http://127.0.0.1/")
            reporter.end()
            scheduler.add_task(worker="worker", task_id=f"task-{number}", status="DONE")
        time.sleep(0.3)
        assert scheduler.task_list("RUNNING", "") == {}
        assert {task["tracking_url"] for task in scheduler.task_list("DONE", "").values()} == {"http://127.0.0.1/"}


def test_a_task_ends_soon_though_the_scheduler_does_not_answer(silent: Any) -> None:
    reporter = reporter_of(silent)
    report(reporter)
    started = time.monotonic()
    reporter.end()
    assert time.monotonic() - started < 20


def test_reports_to_a_scheduler_in_this_process_arrive_at_once() -> None:
    scheduler: Any = Scheduler()
    scheduler.add_task(worker="worker", task_id="task", status="PENDING")
    report(reporter_of(scheduler))
    assert scheduler.get_task_status_message("task")["statusMessage"] == "99"


def test_a_connection_without_retries_gives_up_at_once(away: Any) -> None:
    started = time.monotonic()
    with pytest.raises(RPCError):
        without_retries(away).ping(worker="worker")
    assert time.monotonic() - started < 20


def test_a_connection_that_waits_goes_on_when_luigid_comes(tmp_path: Path, away: Any) -> None:
    port = int(away._url.rpartition(":")[2])
    wait_for(away, 60)
    with luigid(tmp_path, port=port):
        assert away.task_list("PENDING", "") == {}


def test_a_connection_waits_for_a_bounded_time(away: Any) -> None:
    wait_for(away, 0.1)
    with pytest.raises(RPCError):
        away.task_list("PENDING", "")


def test_a_scheduler_in_this_process_is_not_remote() -> None:
    assert not is_remote(Scheduler())
