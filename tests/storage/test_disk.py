import errno
import os
from pathlib import Path

import pytest

from luigi_ilsvrc.storage import disk
from luigi_ilsvrc.storage.disk import DiskError

TOO_MUCH = 10**18

NEEDS_PROC = pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no /proc")


# Free space ----------------------------------------------------------------------------------------------------------


def test_the_nearest_folder_is_the_path_itself_or_the_first_above_it_that_exists(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "not" / "yet" / "there", tmp_path / "file"):
        assert disk.nearest_folder(path) == tmp_path


def test_the_free_bytes_are_those_of_the_disk_that_a_path_will_lie_on(tmp_path: Path) -> None:
    free = disk.free_bytes(tmp_path / "not" / "yet" / "there")
    status = os.statvfs(tmp_path)
    assert free is not None
    # Other processes write meanwhile.
    assert free == pytest.approx(status.f_bavail * status.f_frsize, rel=0.2)


def test_what_fits_is_not_an_error(tmp_path: Path) -> None:
    disk.check_free_space({tmp_path / "a": 1, tmp_path / "b" / "c": 1})


def test_what_does_not_fit_is_refused_with_both_numbers(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match=rf"^{tmp_path}: 1,000,000,000,000,000,000 bytes .*[\d,]+ are free"):
        disk.check_free_space({tmp_path / "not" / "yet" / "there": TOO_MUCH})


def test_what_goes_to_one_disk_is_added_up(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="1,000,000,000,000,000,002 bytes"):
        disk.check_free_space({tmp_path / "a": 2, tmp_path / "b": TOO_MUCH})


def test_the_advice_is_that_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match="choose another --data-dir"):
        disk.check_free_space({tmp_path: TOO_MUCH}, "choose another --data-dir")


@NEEDS_PROC
def test_a_file_system_that_does_not_know_its_size_has_enough() -> None:
    assert disk.free_bytes(Path("/proc/file")) is None
    disk.check_free_space({Path("/proc/file"): TOO_MUCH})


# Permission to write -------------------------------------------------------------------------------------------------


def test_a_folder_that_can_be_written_is_left_as_it_was(tmp_path: Path) -> None:
    before = tmp_path.stat().st_mtime_ns
    disk.check_writable(tmp_path)
    disk.check_writable(tmp_path / "not" / "yet" / "there")
    assert (os.listdir(tmp_path), tmp_path.stat().st_mtime_ns) == ([], before)


@NEEDS_PROC
def test_a_folder_that_cannot_be_written_is_named() -> None:
    with pytest.raises(DiskError, match="^/proc/data: "):
        disk.check_writable(Path("/proc/data"))


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DiskError, match=f"^{tmp_path}/file: Not a directory.*--data-dir"):
        disk.check_writable(tmp_path / "file")


def test_a_link_to_nowhere_in_the_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "none")
    with pytest.raises(DiskError, match=f"^{tmp_path}/link: "):
        disk.check_writable(tmp_path / "link")


# Errors of the operating system --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        (errno.ENOSPC, r"[\d,]+ bytes free"),
        (errno.EDQUOT, r"[\d,]+ bytes free.*quota"),
        (errno.EROFS, "--data-dir"),
        (errno.EACCES, "--data-dir"),
        (errno.EPERM, "--data-dir"),
        (errno.EIO, "run the build again"),
    ],
)
def test_an_error_says_what_happened_to_which_file_and_what_to_do(tmp_path: Path, code: int, advice: str) -> None:
    error = disk.explain_os_error(OSError(code, os.strerror(code)), tmp_path / "shard")
    assert isinstance(error, DiskError)
    assert str(error).startswith(f"{tmp_path}/shard: {os.strerror(code)}")
    with pytest.raises(DiskError, match=advice):
        raise error


def test_an_error_names_the_file_that_the_operating_system_named(tmp_path: Path) -> None:
    error = disk.explain_os_error(OSError(errno.EACCES, "Permission denied", "/deep/file"), tmp_path)
    assert str(error).startswith("/deep/file: Permission denied")
