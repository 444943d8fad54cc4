import pytest

from luigi_ilsvrc.report.stages import length, merge, stages_of
from luigi_ilsvrc.timings import Work


def work(began: float, ended: float, *, task: str = "TFRecordShard", output: str = "a", host: str = "h") -> Work:
    return Work(task, output, began, ended, 100, True, host)


def test_intervals_that_overlap_or_touch_are_one() -> None:
    assert merge([(5.0, 6.0), (1.0, 2.0), (1.5, 3.0), (3.0, 4.0)]) == [(1.0, 4.0), (5.0, 6.0)]


def test_an_interval_within_another_adds_nothing() -> None:
    assert length(merge([(1.0, 9.0), (2.0, 3.0)])) == 8.0


def test_short_pauses_can_be_left_out() -> None:
    assert merge([(1.0, 2.0), (2.5, 3.0), (9.0, 10.0)], gap=1.0) == [(1.0, 3.0), (9.0, 10.0)]


def test_the_time_of_a_stage_is_that_in_which_any_of_its_tasks_was_at_work() -> None:
    [stage] = stages_of([work(0, 10), work(5, 12, output="b", host="g"), work(100, 103, output="c")])
    assert (stage.began, stage.ended, stage.seconds) == (0, 103, 15)
    assert (stage.outputs, stage.bytes, stage.hosts, stage.failed) == (3, 300, 2, 0)
    assert stage.bytes_per_second == 20


def test_runs_that_failed_take_time_and_make_nothing() -> None:
    failed = Work("DownloadTrain", "a.tar", 0, 50, 0, False, "h")
    [stage] = stages_of([failed, work(60, 70, task="DownloadTrain", output="a.tar")])
    assert (stage.seconds, stage.outputs, stage.bytes, stage.failed) == (60, 1, 100, 1)


def test_what_was_made_again_is_one_output_of_which_all_bytes_count() -> None:
    [stage] = stages_of([work(0, 1), work(5, 6)])
    assert (stage.outputs, stage.bytes) == (1, 200)


def test_stages_come_in_the_order_in_which_they_began() -> None:
    runs = [work(5, 6), work(1, 9, task="IndexTrain"), work(0, 1, task="DownloadTrain")]
    assert [stage.task for stage in stages_of(runs)] == ["DownloadTrain", "IndexTrain", "TFRecordShard"]


@pytest.mark.parametrize("task", ["TFRecordShard", "WebDatasetShard"])
def test_the_shards_of_any_format_are_called_shards(task: str) -> None:
    assert [stage.name for stage in stages_of([work(0, 1, task=task)])] == ["shards"]


def test_a_stage_of_no_time_has_no_rate() -> None:
    assert stages_of([work(3, 3)])[0].bytes_per_second == 0
