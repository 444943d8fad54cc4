from pathlib import Path

import pytest

from luigi_ilsvrc import BuildAll, DownloadTrain
from luigi_ilsvrc.tasks.parameters import ParameterError


def test_the_number_of_connections_reaches_the_downloads() -> None:
    assert BuildAll(connections=8).clone(DownloadTrain).connections == 8


def test_the_number_of_connections_changes_no_task() -> None:
    assert DownloadTrain(connections=8).task_id == DownloadTrain(connections=1).task_id


@pytest.mark.parametrize("connections", ["0", "-1"])
def test_fewer_connections_than_one_are_refused(connections: str) -> None:
    with pytest.raises(ParameterError, match=f"--connections: {connections} .* 1 to"):
        BuildAll.from_str_params({"connections": connections})


def test_the_cookies_reach_the_downloads_and_change_no_task(tmp_path: Path) -> None:
    build = BuildAll(cookies=str(tmp_path / "folder" / ".." / "cookies.txt"))
    assert build.clone(DownloadTrain).cookies == str(tmp_path / "cookies.txt")
    assert build.clone(DownloadTrain).task_id == DownloadTrain().task_id


@pytest.mark.parametrize("cookies", ["", "https://example.org/cookies.txt"])
def test_cookies_that_are_no_path_are_refused(cookies: str) -> None:
    with pytest.raises(ParameterError, match="--cookies: .* is not a path"):
        BuildAll(cookies=cookies)


def test_gaps_in_a_partial_archive_are_still_to_come(tmp_path: Path) -> None:
    download = DownloadTrain(data_dir=tmp_path)
    size = download.size() or 0
    partial = tmp_path / "ilsvrc2012" / "training_images.tar.partial"
    partial.parent.mkdir()
    with partial.open("wb") as file:
        file.write(b"x" * 1_000_000)
        file.truncate(10_000_000)
    assert size - 2_000_000 < download.size_to_come() < size - 500_000
