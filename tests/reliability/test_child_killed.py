import os
import signal
from pathlib import Path

import pytest

from tests.reliability.kill_children import TinyBuild, torment
from tests.reliability.self_killing import VICTIM_FILE

MOMENTS = ["BeforeReport", "InReport", "AfterReport"]


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    (tmp_path / "victim").touch()
    return tmp_path / "data"


def start(tasks: str, data_dir: Path, moment: str, workers: int = 2) -> TinyBuild:
    victim = {VICTIM_FILE: data_dir.with_name("victim")}
    return TinyBuild(tasks, data_dir, moment, count=6, workers=workers, **victim)


@pytest.mark.slow
@pytest.mark.parametrize("tasks", ["Tinies", "MixedTinies"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_build_whose_child_is_killed_while_it_reports_goes_on(data_dir: Path, moment: str, tasks: str) -> None:
    build = start(tasks, data_dir, moment)
    status = build.wait()
    assert status is not None, f"it hangs: {build.said()}"
    assert len(list(data_dir.iterdir())) == 6
    if moment != "AfterReport":
        assert status != 0
        assert len(build.died()) == 1
        build = start(tasks, data_dir, moment)
        status = build.wait()
    assert status == 0, build.said()


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["BeforeReport", "InReport"])
def test_tasks_of_nobodys_hang_so_that_the_moments_are_the_right_ones(data_dir: Path, moment: str) -> None:
    build = start("PlainTinies", data_dir, moment)
    assert build.wait(8) is None, build.said()


@pytest.mark.slow
@pytest.mark.parametrize("tasks", ["Tinies", "MixedTinies"])
def test_children_killed_at_random_moments_never_stop_a_build(tmp_path: Path, tasks: str) -> None:
    outcome = torment(tmp_path, kills=10, tasks=tasks)
    assert outcome.kills >= 10
    assert not outcome.hangs


@pytest.mark.slow
@pytest.mark.parametrize("tasks", ["Tinies", "MixedTinies"])
@pytest.mark.parametrize("workers", [1, 3])
def test_a_build_that_nobody_disturbs_is_complete(tmp_path: Path, tasks: str, workers: int) -> None:
    build = TinyBuild(tasks, tmp_path / "data", count=20, workers=workers)
    assert build.wait() == 0, build.said()
    assert len(list((tmp_path / "data").iterdir())) == 20


@pytest.mark.slow
def test_a_child_that_alone_is_interrupted_fails_its_task_and_the_build_goes_on(data_dir: Path) -> None:
    build = start("Tinies", data_dir, "Interrupted")
    assert build.wait() not in (None, 0), build.said()
    assert len(build.died()) == 1
    assert f"exit code {128 + signal.SIGINT}" in build.said()
    assert "Traceback" not in build.said()
    assert len(os.listdir(data_dir)) == 5
