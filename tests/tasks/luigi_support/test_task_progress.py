import logging
from collections.abc import Iterator

import luigi
import pytest

from luigi_ilsvrc.progress import BYTES
from luigi_ilsvrc.tasks.luigi_support import task_progress
from luigi_ilsvrc.tasks.luigi_support.task_progress import TaskProgress


class Index(luigi.Task):
    """A running task, as a worker prepares it."""


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """What the scheduler is told, with every report shown at once."""
    monkeypatch.setattr(task_progress, "_SHOW_EVERY", -1.0)
    monkeypatch.setattr(task_progress, "_LOG_EVERY", -1.0)
    told: list[object] = []
    task = Index()
    task.set_status_message = told.append
    task.set_progress_percentage = told.append
    yield told
    task.set_status_message = task.set_progress_percentage = None


def report(*reports: tuple[str, int, int | None, str]) -> None:
    progress = TaskProgress(Index())
    for values in reports:
        progress(*values)


def test_bytes_are_shown_with_their_prefixes(shown: list[object]) -> None:
    report(("downloading", 0, 2_000_000_000, BYTES), ("downloading", 500_000_000, 2_000_000_000, BYTES))
    assert "downloading: 500 MB of 2.00 GB, " in str(shown[2])
    assert "B/s" in str(shown[2])


@pytest.mark.parametrize("unit", ["folders", "images", "files", "shards", "records"])
def test_what_is_counted_is_shown_by_its_own_unit_and_without_prefixes(shown: list[object], unit: str) -> None:
    report(("indexing", 0, 1000, unit), ("indexing", 500, 1000, unit))
    assert f"indexing: 500 of 1,000 {unit}, " in str(shown[2])
    assert f"{unit}/s" in str(shown[2])


def test_the_percentage_is_that_of_the_total(shown: list[object]) -> None:
    report(("indexing", 250, 1000, "folders"))
    assert shown[1] == 25


def test_without_a_total_there_is_no_percentage(shown: list[object]) -> None:
    report(("extracting", 250, None, "files"))
    assert len(shown) == 1
    assert str(shown[0]) == "extracting: 250 files"


def test_one_task_may_count_different_things_one_after_the_other(shown: list[object]) -> None:
    report(("checking", 10, 20, BYTES), ("indexing", 1, 2, "folders"))
    assert "folders" not in str(shown[0])
    assert "1 of 2 folders" in str(shown[2])


def test_without_a_terminal_the_log_gets_a_line(shown: list[object], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "luigi-interface"):
        report(("indexing", 1, 2, "folders"))
    assert "Index indexing: 1 of 2 folders" in caplog.text


def test_work_of_less_than_two_seconds_shows_nothing() -> None:
    told: list[object] = []
    task = Index()
    task.set_status_message = told.append
    TaskProgress(task)("indexing", 1, 2, "folders")
    task.set_status_message = None
    assert told == []
