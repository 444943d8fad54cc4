import shutil
from pathlib import Path
from typing import Any

import luigi
import pytest
from luigi.task import flatten

from luigi_ilsvrc import BuildAll
from luigi_ilsvrc.tasks.base import ILSVRCTask
from luigi_ilsvrc.tasks.luigi_support.overall_progress import Counts, OverallProgress, TimeLeft


@pytest.fixture
def build(data_dir: Path, ilsvrc: Path) -> BuildAll:
    """A finished build."""
    return BuildAll(data_dir=data_dir, source=str(ilsvrc), train_shards=8, validation_shards=3)


def scheduled(task: luigi.Task) -> dict[str, luigi.Task]:
    """Return what Luigi schedules for a task: nothing of what is complete."""
    found = {task.task_id: task}
    if not task.complete():
        for required in flatten(task.requires()):
            found |= scheduled(required)
    return found


def progress_of(task: luigi.Task) -> OverallProgress:
    return OverallProgress(scheduled(task).values(), ILSVRCTask)


def bytes_in(*paths: Path) -> int:
    files = [file for path in paths for file in ([path] if path.is_file() else path.rglob("*"))]
    return sum(file.stat().st_size for file in files if file.is_file())


def test_a_build_that_has_not_begun_has_all_tasks_and_nothing_done(ilsvrc: Path, tmp_path: Path) -> None:
    build = BuildAll(data_dir=tmp_path / "new", source=str(ilsvrc), train_shards=8, validation_shards=3)
    overall = progress_of(build).count()
    assert str(overall) == "0 of 35 tasks; synsets 0 of 5; shards 0 of 11"


def test_what_is_there_is_done_whoever_made_it(build: BuildAll, data_dir: Path) -> None:
    dataset = data_dir / "ilsvrc2012"
    (dataset / "tfrecords" / "train-00003-of-00008").unlink()
    progress = progress_of(build)
    assert progress.count().kinds["shards"] == Counts(10, 11)
    shutil.copy(dataset / "tfrecords" / "train-00002-of-00008", dataset / "tfrecords" / "train-00003-of-00008")
    assert progress.count().kinds["shards"] == Counts(11, 11)


def test_the_tasks_of_a_wrapper_that_was_complete_are_counted_too(build: BuildAll, data_dir: Path) -> None:
    (data_dir / "ilsvrc2012" / "tfrecords" / "train-00003-of-00008").unlink()
    overall = progress_of(build).count()
    assert overall.kinds["synsets"] == Counts(5, 5)
    assert overall.tasks.done == overall.tasks.total - 3, "the shard, TFRecords and BuildAll"


def test_the_size_is_that_of_what_the_tasks_have_made(build: BuildAll, data_dir: Path) -> None:
    dataset = data_dir / "ilsvrc2012"
    (dataset / "tfrecords" / "train-00003-of-00008").unlink()
    made = [
        "training_images",
        "validation_images",
        "training_bounding_boxes",
        "tfrecords",
        "tfrecords_index",
        "label_tables",
    ]
    read = ["index/train", "index/validation", "index/train-plan-of-00008", "index/validation-plan-of-00003"]
    folders = [dataset / name for name in (*made, *read)]
    files = [data_dir / "bounding_boxes.csv", dataset / "classes.csv"]
    assert progress_of(build).count().size == bytes_in(*folders, *files)


def test_a_build_that_is_complete_is_counted_for_a_task_that_requires_it(build: BuildAll) -> None:
    overall = OverallProgress([build], ILSVRCTask).count()
    assert overall.kinds == {"synsets": Counts(5, 5), "shards": Counts(11, 11)}
    assert overall.tasks.done == overall.tasks.total


def test_the_outermost_wrapper_is_the_one_that_stands_for_all(build: BuildAll) -> None:
    assert OverallProgress([build], ILSVRCTask).outermost() == {build.task_id}


def kinds(done: int) -> dict[str, Any]:
    return {"shards": Counts(done, 100), "synsets": Counts(done, 100)}


def test_the_time_left_is_that_of_what_is_left_at_the_rate_so_far() -> None:
    left = TimeLeft()
    assert left.estimate(0, kinds(0), waits_for_bytes=False) == ""
    assert left.estimate(60, kinds(25), waits_for_bytes=False) == "3 min left"


def test_the_time_of_a_download_says_nothing_about_the_rate_of_what_follows() -> None:
    left = TimeLeft()
    for minute in range(60):
        assert left.estimate(60 * minute, kinds(0), waits_for_bytes=True) == ""
    assert left.estimate(3600, kinds(0), waits_for_bytes=False) == ""
    assert left.estimate(3660, kinds(50), waits_for_bytes=False) == "1 min left"


def test_an_older_rate_is_forgotten() -> None:
    left = TimeLeft()
    for minute in range(20):
        left.estimate(60 * minute, kinds(0), waits_for_bytes=False)
    assert left.estimate(1200, kinds(10), waits_for_bytes=False) == "1 h 30 min left"


@pytest.mark.parametrize("counted", [{}, kinds(100)])
def test_nothing_is_said_if_there_is_nothing_left_that_tells_it(counted: dict[str, Any]) -> None:
    left = TimeLeft()
    left.estimate(0, counted, waits_for_bytes=False)
    assert left.estimate(60, counted, waits_for_bytes=False) == ""
