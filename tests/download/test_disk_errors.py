"""Each error of a disk has a remedy of its own."""

import errno
import os
import re
from pathlib import Path
from typing import NoReturn

import pytest

from luigi_ilsvrc.download.disk_errors import read_error, write_error
from luigi_ilsvrc.download.source import DownloadError
from tests.download.helpers import NAME, Fetch, assert_only_file, leave_partial, partial_of
from tests.support.disks import mounted, remount
from tests.support.hostile_server import HostileServer

REMEDIES = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "quota",
    errno.EROFS: "read-only.*--data-dir",
    errno.EIO: "failed: check it",
    errno.EFBIG: "limit",
    errno.ESTALE: "run again",
}


def failing(code: int) -> object:
    def fail(*_: object) -> NoReturn:
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize(("code", "remedy"), REMEDIES.items(), ids=[errno.errorcode[code] for code in REMEDIES])
def test_a_failed_write_names_the_file_and_its_remedy(
    code: int,
    remedy: str,
    server: HostileServer,
    destination: Path,
    fetch: Fetch,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    leave_partial(server, destination)
    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", failing(code))
        expected = f"{partial_of(destination)}: {re.escape(os.strerror(code))}.*{remedy}.* 100,000 bytes .* kept"
        with pytest.raises(DownloadError, match=expected):
            fetch(server.url, destination)
    fetch(server.url, destination)
    assert_only_file(destination)
    assert server.header("Range")[-1] == "bytes=100000-"


def test_a_failed_fsync_is_an_error_and_nothing_is_published(
    server: HostileServer, destination: Path, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", failing(errno.EIO))
        with pytest.raises(DownloadError, match=r"training_images.tar: Input/output error.*failed: check it"):
            fetch(server.url, destination)
    assert not destination.exists()


def test_a_partial_file_that_cannot_be_read_is_named_with_what_to_do(
    server: HostileServer, destination: Path, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_partial(server, destination)
    monkeypatch.setattr(os, "preadv", failing(errno.EIO))
    with pytest.raises(DownloadError, match=f"cannot read {partial_of(destination)}: .*failed.*remove it") as caught:
        fetch(server.url, destination)
    assert "writable" not in str(caught.value)


def test_a_file_system_that_becomes_read_only_says_so(server: HostileServer, tmp_path: Path, fetch: Fetch) -> None:
    with mounted(tmp_path / "mount", "1m") as folder:
        remount(folder, "ro")
        with pytest.raises(DownloadError, match=r"images.tar.partial: Read-only file system.*read-only"):
            fetch(server.url, folder / NAME)


def test_a_disk_without_inodes_says_so(server: HostileServer, tmp_path: Path, fetch: Fetch) -> None:
    with mounted(tmp_path / "mount", "1m,nr_inodes=3") as folder:
        (folder / "one").touch()
        (folder / "two").touch()
        with pytest.raises(DownloadError, match=r"No space left.*no inodes left"):
            fetch(server.url, folder / NAME)


def test_an_error_of_the_system_names_its_own_file(tmp_path: Path) -> None:
    error = OSError(errno.EACCES, "Permission denied", str(tmp_path / "record"))
    assert f"cannot write {tmp_path / 'record'}: Permission denied; make it writable" in str(
        write_error(error, tmp_path / "file")
    )
    assert "cannot read /file: Permission denied; advice" in str(
        read_error(PermissionError(errno.EACCES, "Permission denied"), Path("/file"), "advice")
    )
