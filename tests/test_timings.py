import multiprocessing
import os
import time
from pathlib import Path

import pytest

from luigi_ilsvrc.errors import BuildError
from luigi_ilsvrc.timings import read_timings, timed

SHARD = "ilsvrc2012/tfrecords/train-00000-of-00008"


def record(folder: Path, task: str = "TFRecordShard", output: str = SHARD, size: int = 7) -> None:
    with timed(folder, task, output, lambda: size):
        pass


def test_a_run_of_a_task_is_read_back_as_it_was(tmp_path: Path) -> None:
    before = time.time()
    with timed(tmp_path / "timings", "TFRecordShard", SHARD, lambda: 7):
        time.sleep(0.02)
    [work] = read_timings(tmp_path / "timings")
    assert work[:2] == ("TFRecordShard", SHARD)
    assert (work.bytes, work.is_done) == (7, True)
    assert before - 0.001 <= work.began < work.ended <= time.time() + 0.001


def test_a_run_that_failed_or_was_interrupted_counts_too_but_has_made_nothing(tmp_path: Path) -> None:
    for error in (BuildError, KeyboardInterrupt):
        with pytest.raises(error), timed(tmp_path, "DownloadTrain", "a.tar", lambda: 7):
            raise error
    assert [(work.bytes, work.is_done) for work in read_timings(tmp_path)] == [(0, False)] * 2


def test_a_size_that_cannot_be_told_fails_nothing(tmp_path: Path) -> None:
    with timed(tmp_path, "DownloadTrain", "a.tar", lambda: os.path.getsize(tmp_path / "none")):
        pass
    assert read_timings(tmp_path) == []


def test_a_place_that_cannot_be_written_fails_nothing(tmp_path: Path) -> None:
    (tmp_path / "timings").write_text("a file in place of the folder")
    record(tmp_path / "timings")
    assert read_timings(tmp_path / "timings") == []


def test_a_link_in_place_of_the_file_is_not_followed(tmp_path: Path) -> None:
    record(tmp_path / "timings")
    [own] = (tmp_path / "timings").iterdir()
    own.unlink()
    other = tmp_path / "other"
    other.touch()
    own.symlink_to(other)
    record(tmp_path / "timings")
    assert other.read_text() == ""


def test_an_output_may_have_any_name(tmp_path: Path) -> None:
    record(tmp_path, output='a "b", c')
    assert [work.output for work in read_timings(tmp_path)] == ['a "b", c']


def test_lines_that_cannot_be_read_are_left_out(tmp_path: Path) -> None:
    record(tmp_path)
    [path] = tmp_path.iterdir()
    good = path.read_bytes()
    bad = b'\xff\0\n"\nTask,out,5,4,1,done\nTask,out,nan,5,1,done\nTask,out,1,inf,1,done\nTask,out,1,2,-1,done\nTask\n'
    path.write_bytes(good[: len(good) // 2] + b"\n" + bad + good)
    assert len(read_timings(tmp_path)) == 1


def test_what_several_hosts_did_is_read_together_in_the_order_of_time(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_text("Task,first,1.000,2.000,3,done\nTask,third,5.000,6.000,3,done\n")
    (tmp_path / "a.csv").write_text("Task,second,4.000,5.000,3,done\n")
    assert [(work.output, work.host) for work in read_timings(tmp_path)] == [
        ("first", "b"),
        ("second", "a"),
        ("third", "b"),
    ]


def test_processes_that_write_at_once_lose_no_line(tmp_path: Path) -> None:
    processes = [multiprocessing.get_context("fork").Process(target=_record_often, args=(tmp_path,)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert len(read_timings(tmp_path)) == 400


def _record_often(folder: Path) -> None:
    for _ in range(100):
        record(folder)


def test_a_build_without_timings_has_none(tmp_path: Path) -> None:
    assert read_timings(tmp_path / "none") == []


def test_a_build_has_the_timings_of_every_output_that_it_has_made(built: Path) -> None:
    timings = read_timings(built / "ilsvrc2012" / "index" / "timings")
    assert all(work.is_done for work in timings)
    made = {work.output: work.bytes for work in timings if work.task != "ExtractTrainAhead"}
    assert made[SHARD] == (built / SHARD).stat().st_size
    assert made["ilsvrc2012/training_images.tar"] == (built / "ilsvrc2012/training_images.tar").stat().st_size
    counts = {task: sum(work.task == task for work in timings) for task in {work.task for work in timings}}
    counts.pop("ExtractTrainAhead", None)
    assert counts == {
        **dict.fromkeys(["DownloadTrain", "DownloadValidation", "DownloadBoundingBoxes"], 1),
        **dict.fromkeys(["IndexTrain", "IndexValidation", "SortValidation", "ExtractBoundingBoxes"], 1),
        **{
            "BoundingBoxCSV": 1,
            "PlanShards": 2,
            "ClassTable": 1,
            "LabelTableFiles": 1,
            "ExtractTrainPerSynset": 5,
            "TFRecordShard": 11,
        },
    }
