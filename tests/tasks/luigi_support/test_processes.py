import queue
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

import luigi
import pytest
from luigi.worker import ContextManagedTaskProcess, Worker

from luigi_ilsvrc.tasks.luigi_support.result_queue import ResultQueue
from tests.reliability.tiny_tasks import PlainTiny, Tiny


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
    worker._create_task_process(Tiny(data_dir=tmp_path, number=2))
    results: Any = worker._task_result_queue
    assert isinstance(results, ResultQueue)
    assert results.get(timeout=10) == "early"
    with pytest.raises(queue.Empty):
        results.get(timeout=0.01)
    results.close()


def test_a_system_without_the_sockets_keeps_luigis_queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError

    monkeypatch.setattr("socket.socketpair", refuse)
    worker = worker_with(Tiny(data_dir=tmp_path, number=2), processes=1)
    assert worker.run()
    assert isinstance(worker._task_result_queue, Queue)
