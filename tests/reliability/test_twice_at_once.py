import fcntl
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from luigi_ilsvrc.dataset.paths import DataSetPaths
from tests.reliability.kill import Build, leftovers, wait_until
from tests.support.running import QUICK, contents

pytestmark = pytest.mark.slow

_LONGEST_BUILD = 180


def start(ilsvrc: Path, data_dir: Path, name: str, *options: str) -> Build:
    return Build(
        ["BuildAll", "--data-dir", data_dir, "--source", ilsvrc, *QUICK, *options], data_dir.with_name(f"{name}.log")
    )


def test_two_builds_in_one_place_without_a_common_scheduler_both_end_well(
    ilsvrc: Path, built_without_shards: Path, tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    builds = [start(ilsvrc, data_dir, f"with-{workers}", "--workers", workers) for workers in ("1", "2")]
    for build in builds:
        assert build.worker.wait(_LONGEST_BUILD) == 0, build.said()
    assert contents(data_dir) == contents(built_without_shards)


@contextmanager
def held_up(data_dir: Path) -> Iterator[None]:
    """Keep every build in a place from ending, as a process does that is making the boxes."""
    paths = DataSetPaths(data_dir)
    lock = paths.lock(paths.bounding_boxes)
    lock.parent.mkdir(parents=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def test_the_same_command_twice_says_that_the_other_is_at_work(
    ilsvrc: Path, built_without_shards: Path, tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    with held_up(data_dir):
        first = start(ilsvrc, data_dir, "first")
        assert wait_until(lambda: "Running Worker" in first.said(), 120)
        second = start(ilsvrc, data_dir, "second")
        assert second.worker.wait(_LONGEST_BUILD) == 10, second.said()
        assert f"Pid(s) {{{first.worker.pid}}} already running" in second.said()
    assert first.worker.wait(_LONGEST_BUILD) == 0, first.said()
    assert contents(data_dir) == contents(built_without_shards)


def test_a_build_that_waits_for_another_process_says_so(
    ilsvrc: Path, built_without_shards: Path, tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    with held_up(data_dir):
        build = start(ilsvrc, data_dir, "waiting")
        said = f"another process is writing {data_dir}/bounding_boxes.csv: waiting for it"
        assert wait_until(lambda: said in build.said(), 120), build.said()
    assert build.worker.wait(_LONGEST_BUILD) == 0, build.said()
    assert contents(data_dir) == contents(built_without_shards)


@pytest.mark.parametrize("lines", [5, 20, 45])
def test_a_build_ends_well_beside_another_that_is_killed(
    ilsvrc: Path, built_without_shards: Path, tmp_path: Path, lines: int
) -> None:
    data_dir = tmp_path / "data"
    killed, other = (start(ilsvrc, data_dir, f"with-{workers}", "--workers", workers) for workers in ("3", "2"))
    wait_until(lambda: killed.said().count("\n") > lines, 120)
    os.kill(killed.worker.pid, signal.SIGKILL)
    assert other.worker.wait(_LONGEST_BUILD) == 0, other.said()
    killed.end()
    assert contents(data_dir) == contents(built_without_shards)
    assert leftovers(data_dir) == []
