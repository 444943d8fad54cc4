import errno
import os
from pathlib import Path

import pytest

from luigi_ilsvrc import disk
from luigi_ilsvrc.disk import DiskError

TOO_MUCH = 10**18


def test_what_fits_is_no_error(tmp_path: Path) -> None:
    disk.make_sure_of_room({tmp_path / "a": 1, tmp_path / "b" / "c": 1})


def test_what_does_not_fit_is_refused_with_both_figures(tmp_path: Path) -> None:
    with pytest.raises(
        DiskError, match=rf"^{tmp_path}: 1,000,000,000,000,000,000 bytes are needed .*, [\d,]+ are free"
    ):
        disk.make_sure_of_room({tmp_path / "not" / "yet" / "there": TOO_MUCH})


def test_what_goes_to_one_disk_is_added_up(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="1,000,000,000,000,000,002 bytes are needed"):
        disk.make_sure_of_room({tmp_path / "a": 2, tmp_path / "b": TOO_MUCH})


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no /proc")
def test_a_file_system_that_does_not_know_its_size_is_believed() -> None:
    disk.make_sure_of_room({Path("/proc/file"): TOO_MUCH})


def test_a_folder_that_can_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    before = tmp_path.stat().st_mtime_ns
    disk.make_sure_of_writing(tmp_path)
    disk.make_sure_of_writing(tmp_path / "not" / "yet" / "there")
    assert (os.listdir(tmp_path), tmp_path.stat().st_mtime_ns) == ([], before)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no /proc")
def test_a_folder_that_cannot_be_written_is_named() -> None:
    with pytest.raises(DiskError, match="^/proc/data: "):
        disk.make_sure_of_writing(Path("/proc/data"))


def test_a_folder_below_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DiskError, match=f"^{tmp_path}/file: Not a directory; make it writable"):
        disk.make_sure_of_writing(tmp_path / "file")


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (errno.ENOSPC, r"leaves [\d,]+ bytes free: make room"),
        (errno.EDQUOT, r"leaves [\d,]+ bytes free: make room \(or raise the quota\)"),
        (errno.EROFS, "choose another folder with --data-dir"),
        (errno.EACCES, "choose another folder with --data-dir"),
        (errno.EIO, "mend that and run the build again"),
    ],
)
def test_a_refusal_says_where_why_and_what_to_do(tmp_path: Path, code: int, advice: str) -> None:
    error = disk.refusal(OSError(code, os.strerror(code)), tmp_path / "shard")
    assert str(error).startswith(f"{tmp_path}/shard: {os.strerror(code)}")
    with pytest.raises(DiskError, match=advice):
        raise error


def test_a_refusal_names_the_file_that_the_operating_system_named(tmp_path: Path) -> None:
    error = disk.refusal(OSError(errno.EACCES, "Permission denied", "/deep/file"), tmp_path)
    assert str(error).startswith("/deep/file: Permission denied")
