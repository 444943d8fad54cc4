import errno
import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from luigi_ilsvrc.storage import disk
from luigi_ilsvrc.storage.disk import DiskError

GIGABYTE = 1 << 30


def report(monkeypatch: pytest.MonkeyPatch, *, files: int, free_files: int, free: int = GIGABYTE) -> None:
    """Have the system report so many inodes, in all and free, and so many free bytes."""
    status = SimpleNamespace(
        f_files=files,
        f_ffree=free_files,
        f_favail=free_files,
        f_frsize=1,
        f_blocks=2 * free,
        f_bavail=free,
        f_bfree=free,
    )
    monkeypatch.setattr(os, "statvfs", lambda path: status)


# Inodes --------------------------------------------------------------------------------------------------------------


def test_inodes_that_are_missing_are_refused_with_both_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report(monkeypatch, files=10_000, free_files=999)
    disk.check_free_space({}, inodes={tmp_path / "a": 999})
    with pytest.raises(DiskError, match=rf"^{tmp_path}: 1,000 inodes .* 999 .*; delete something$"):
        disk.check_free_space({}, "delete something", {tmp_path / "a": 600, tmp_path / "b" / "c": 400})


def test_a_file_system_that_does_not_count_inodes_has_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report(monkeypatch, files=0, free_files=0)
    assert disk.free_inodes(tmp_path) is None
    disk.check_free_space({}, inodes={tmp_path: 10**9})


def test_bytes_are_refused_also_if_there_are_inodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report(monkeypatch, files=10_000, free_files=9_000, free=100)
    with pytest.raises(DiskError, match=f"^{tmp_path}: 101 bytes .* 100 "):
        disk.check_free_space({tmp_path: 101}, inodes={tmp_path: 1})


def test_the_inodes_of_this_disk_are_those_that_it_reports(tmp_path: Path) -> None:
    status = os.statvfs(tmp_path)
    free = disk.free_inodes(tmp_path / "not" / "yet" / "there")
    assert free is None or 0 < free <= status.f_files


# Errors --------------------------------------------------------------------------------------------------------------


def advice(code: int, path: Path, named: str | None = None) -> str:
    return str(disk.explain_os_error(OSError(code, os.strerror(code), named), path))


@pytest.mark.parametrize("left", [0, 1, 1300])
def test_a_disk_without_inodes_is_told_from_a_full_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    report(monkeypatch, files=10_000, free_files=left)
    message = advice(errno.ENOSPC, tmp_path / "n01440764")
    assert message.startswith(f"{tmp_path}/n01440764: {os.strerror(errno.ENOSPC)}. ")
    assert f"{GIGABYTE:,} bytes free" in message
    assert f"{left:,} inodes" in message


@pytest.mark.parametrize(("files", "free_files", "free"), [(0, 0, GIGABYTE), (10_000, 9_000, 5), (10_000, 1_000, 5)])
def test_a_full_disk_is_not_said_to_lack_inodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: int, free_files: int, free: int
) -> None:
    report(monkeypatch, files=files, free_files=free_files, free=free)
    message = advice(errno.ENOSPC, tmp_path / "shard")
    assert f"{free:,} bytes free" in message
    assert "inodes" not in message


@pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.ETIMEDOUT])
def test_a_file_that_cannot_be_read_is_named_and_its_file_system_blamed(tmp_path: Path, code: int) -> None:
    message = advice(code, tmp_path / "shard", "/archives/training_images.tar")
    assert message.startswith(f"/archives/training_images.tar: {os.strerror(code)}; ")
    assert "file system that holds this file" in message
    assert str(tmp_path) not in message
    assert "removed" not in message


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (errno.EMFILE, "ulimit -n"),
        (errno.ENFILE, "fs.file-max"),
        (errno.ENAMETOOLONG, "shorter path .*--data-dir"),
        (errno.EFBIG, "ulimit -f"),
        (errno.EROFS, "--data-dir"),
        (errno.EINVAL, "run the build again"),
    ],
)
def test_an_error_has_advice_of_its_own(tmp_path: Path, code: int, expected: str) -> None:
    error = disk.explain_os_error(OSError(code, os.strerror(code)), tmp_path / "shard")
    with pytest.raises(DiskError, match=rf"^{tmp_path}/shard: .*{expected}"):
        raise error


def test_an_error_without_a_number_is_passed_on(tmp_path: Path) -> None:
    assert str(disk.explain_os_error(OSError("broken"), tmp_path / "a")).startswith(f"{tmp_path}/a: broken; ")


def test_a_disk_that_says_nothing_of_itself_hides_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: object) -> None:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    monkeypatch.setattr(os, "statvfs", refuse)
    assert "free some space" in advice(errno.ENOSPC, tmp_path / "shard")
