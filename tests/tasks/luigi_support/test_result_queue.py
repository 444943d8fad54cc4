import multiprocessing
import os
import queue
import signal
import time
from collections.abc import Iterator
from multiprocessing.context import BaseContext
from typing import Any

import pytest

from luigi_ilsvrc.tasks.luigi_support.result_queue import ResultQueue

LONG = "x" * 300_000


@pytest.fixture
def results() -> Iterator[ResultQueue]:
    results = ResultQueue(multiprocessing.Queue())
    yield results
    results.close()


def put(results: ResultQueue, *items: object) -> None:
    for item in items:
        results.put(item)


def put_half(results: ResultQueue) -> None:
    """Die as a child does that is killed between two records."""
    send = results._sender.send

    class Sender:
        def send(self, record: bytes) -> None:
            send(record)
            os.kill(os.getpid(), signal.SIGKILL)

    results._sender = Sender()  # type: ignore[assignment]
    results.put(LONG)


def start(method: Any, *arguments: object, context: BaseContext | None = None) -> Any:
    process = (context or multiprocessing.get_context("fork")).Process(  # type: ignore[attr-defined]
        target=method, args=arguments
    )
    process.start()
    return process


@pytest.mark.parametrize("item", [("task", "DONE", None, [], []), LONG])
@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_what_a_child_puts_arrives(results: ResultQueue, item: object, method: Any) -> None:
    child = start(put, results, item, context=multiprocessing.get_context(method))
    assert results.get(timeout=30) == item
    child.join()


def test_what_many_children_put_at_once_arrives_whole(results: ResultQueue) -> None:
    items = [(child, number, "x" * 1000 * number) for child in range(8) for number in range(20)]
    children = [start(put, results, *items[first : first + 20]) for first in range(0, 160, 20)]
    assert sorted(results.get(timeout=30) for _ in items) == items
    for child in children:
        child.join()


def test_a_child_killed_in_the_middle_of_a_result_stops_nobody(results: ResultQueue) -> None:
    killed = start(put_half, results)
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    start(put, results, "whole", LONG).join(0.1)
    assert [results.get(timeout=30), results.get(timeout=30)] == ["whole", LONG]
    with pytest.raises(queue.Empty):
        results.get(timeout=0.01)


def test_a_result_comes_before_the_note_that_its_child_is_dead(results: ResultQueue) -> None:
    start(put, results, "done").join()
    results.put("dead")
    assert [results.get(timeout=30), results.get(timeout=30)] == ["done", "dead"]


def test_children_that_started_before_report_on_the_queue_before() -> None:
    previous: Any = multiprocessing.Queue()
    results = ResultQueue(previous)
    start(previous.put, "early").join()
    start(put, results, "late").join()
    assert {results.get(timeout=30), results.get(timeout=30)} == {"early", "late"}
    results.close()


def test_the_worker_never_waits_for_itself(results: ResultQueue) -> None:
    put(results, *range(10_000))
    assert [results.get(timeout=30) for _ in range(10_000)] == list(range(10_000))


@pytest.mark.parametrize(("block", "seconds"), [(True, 0.05), (False, 0.0)])
def test_an_empty_queue_says_so_in_time(results: ResultQueue, block: bool, seconds: float) -> None:
    started = time.monotonic()
    with pytest.raises(queue.Empty):
        results.get(block, timeout=seconds)
    assert seconds <= time.monotonic() - started < seconds + 30
