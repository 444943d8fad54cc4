import os
import shutil
from pathlib import Path

import pytest

from luigi_ilsvrc.dataset.archives import BOUNDING_BOX_ARCHIVE, TRAIN_ARCHIVE, VALIDATION_ARCHIVE
from tests.support.abandoned import left_by_a_dead_process
from tests.support.disks import mounted, remount
from tests.support.running import LOG_TASKS, QUICK, contents, luigi, times

pytestmark = pytest.mark.slow


def test_a_read_only_source_on_another_file_system_is_linked_and_left_alone(
    ilsvrc: Path, built_without_shards: Path, tmp_path: Path
) -> None:
    with mounted(tmp_path / "source", "8m") as source:
        shutil.copytree(ilsvrc, source, dirs_exist_ok=True)
        remount(source, "ro")
        before = times(source)
        status, output = luigi("BuildAll", "--data-dir", tmp_path / "data", "--source", source, *QUICK)
        assert status == 0, output
        assert times(source) == before
        assert contents(tmp_path / "data") == contents(built_without_shards)
        assert (tmp_path / "data/ilsvrc2012" / TRAIN_ARCHIVE.local_name).readlink() == source / TRAIN_ARCHIVE.name
    # Complete also when the disk is gone, as after the archives were deleted.
    status, output = luigi("BuildAll", "--data-dir", tmp_path / "data", *QUICK)
    assert (status, "Did not run any tasks" in output) == (0, True), output


def test_archives_and_tables_behind_symbolic_links_are_followed(
    ilsvrc: Path, built_without_shards: Path, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in os.listdir(ilsvrc):
        (source / name).symlink_to(ilsvrc / name)
    (tmp_path / "link").symlink_to(source)
    status, output = luigi("BuildAll", "--data-dir", tmp_path / "data", "--source", tmp_path / "link", *QUICK)
    assert status == 0, output
    assert contents(tmp_path / "data") == contents(built_without_shards)
    for archive in (TRAIN_ARCHIVE, VALIDATION_ARCHIVE, BOUNDING_BOX_ARCHIVE):
        assert not (tmp_path / "data" / "ilsvrc2012" / archive.local_name).is_symlink()


def test_a_source_is_never_changed_by_what_is_built_from_its_links(ilsvrc: Path, built_without_shards: Path) -> None:
    assert (built_without_shards / "ilsvrc2012" / TRAIN_ARCHIVE.local_name).samefile(ilsvrc / TRAIN_ARCHIVE.name)
    status, output = luigi("BuildAll", "--data-dir", built_without_shards, "--source", ilsvrc, *QUICK)
    assert status == 0, output
    sums = [line.split() for line in (ilsvrc / "MD5SUMS").read_text().splitlines()]
    assert {name: md5 for md5, name in sums}.items() <= contents(ilsvrc).items()


# Places that cannot be written ---------------------------------------------------------------------------------------


def assert_said_at_once(data_dir: Path, source: Path, named: Path, reason: str) -> None:
    status, output = luigi("BuildAll", "--data-dir", data_dir, "--source", source, *QUICK, *LOG_TASKS)
    assert status == 35, output
    *_, error = [line for line in output.splitlines() if line.startswith("ERROR: ")]
    assert error == f"ERROR: BuildAll: {named}: {reason}; make it writable, or choose another folder with --data-dir"
    assert "Traceback" not in output
    assert "running   " not in output


def test_a_read_only_data_dir_is_said_at_once(ilsvrc: Path, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "8m") as disk:
        remount(disk, "ro")
        assert_said_at_once(disk / "new", ilsvrc, disk / "new", "Read-only file system")
        assert_said_at_once(disk, ilsvrc, disk, "Read-only file system")


def test_a_data_dir_without_permission_is_said_at_once(ilsvrc: Path, tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    data_dir.mkdir(mode=0o500)
    if os.access(data_dir, os.W_OK):
        pytest.skip("root may write everywhere")
    assert_said_at_once(data_dir, ilsvrc, data_dir, "Permission denied")


def test_a_file_in_the_place_of_the_data_dir_is_said_at_once(ilsvrc: Path, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    assert_said_at_once(tmp_path / "data", ilsvrc, tmp_path / "data", "Not a directory")


def test_a_data_dir_that_is_a_broken_link_is_said_at_once(ilsvrc: Path, tmp_path: Path) -> None:
    (tmp_path / "data").symlink_to("nowhere")
    assert_said_at_once(tmp_path / "data", ilsvrc, tmp_path / "data", "Not a directory")


def test_a_complete_data_set_may_be_read_only(ilsvrc: Path, built_without_shards: Path, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "8m") as disk:
        shutil.copytree(built_without_shards, disk, dirs_exist_ok=True)
        left = left_by_a_dead_process(disk / "bounding_boxes.csv")
        remount(disk, "ro")
        status, output = luigi("BuildAll", "--data-dir", disk, "--source", ilsvrc, *QUICK, *LOG_TASKS)
        assert (status, output.count("running   ")) == (0, 1), output
        assert f"cannot remove {left}: Read-only file system" in output


def test_an_archive_of_a_source_that_is_gone_comes_from_the_next_one(ilsvrc: Path, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "8m") as disk:
        shutil.copytree(ilsvrc, disk, dirs_exist_ok=True)
        status, output = luigi("DownloadTrain", "--data-dir", tmp_path / "data", "--source", disk)
        assert status == 0, output
    status, output = luigi("BuildAll", "--data-dir", tmp_path / "data", "--source", ilsvrc, *QUICK)
    assert status == 0, output
    assert (tmp_path / "data/ilsvrc2012" / TRAIN_ARCHIVE.local_name).samefile(ilsvrc / TRAIN_ARCHIVE.name)
