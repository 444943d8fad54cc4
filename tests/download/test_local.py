import errno
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from luigi_ilsvrc.dataset.archives import ARCHIVES
from luigi_ilsvrc.download.checksums import ChecksumError
from luigi_ilsvrc.download.download import download
from luigi_ilsvrc.download.source import DownloadError
from luigi_ilsvrc.progress import BYTES
from tests.download.helpers import BODY, NAME, Fetch, assert_only_file, beside, leave_partial, md5_of
from tests.support.hostile_server import HostileServer


@pytest.fixture
def folder_on_another_disk(tmp_path: Path) -> Iterator[Path]:
    shared_memory = Path("/dev/shm")
    if not shared_memory.is_dir() or shared_memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system")
    folder = shared_memory / f"luigi-ilsvrc-{os.getpid()}"
    folder.mkdir()
    (folder / NAME).write_bytes(BODY * 10)
    try:
        yield folder
    finally:
        (folder / NAME).unlink()
        folder.rmdir()


def test_a_local_file_is_linked_if_possible(folder: Path, destination: Path, fetch: Fetch) -> None:
    fetch(folder, destination)
    assert_only_file(destination)
    assert destination.samefile(folder / NAME)
    assert fetch.calls[-1] == ("checking", len(BODY), len(BODY), BYTES)


def test_a_folder_may_be_given_as_a_file_url(folder: Path, destination: Path, fetch: Fetch) -> None:
    fetch(folder.as_uri(), destination)
    assert destination.samefile(folder / NAME)


def test_a_symbolic_link_is_resolved_first(folder: Path, destination: Path, fetch: Fetch) -> None:
    (folder / NAME).rename(folder / "elsewhere.tar")
    (folder / NAME).symlink_to("elsewhere.tar")
    fetch(folder, destination)
    assert destination.samefile(folder / "elsewhere.tar")
    assert not destination.is_symlink()


def test_to_a_file_on_another_file_system_a_symbolic_link_is_made(
    folder_on_another_disk: Path, destination: Path, fetch: Fetch
) -> None:
    fetch(folder_on_another_disk, destination, md5=md5_of(BODY * 10))
    assert_only_file(destination, BODY * 10)
    assert destination.readlink() == folder_on_another_disk / NAME
    assert fetch.calls[-1] == ("checking", len(BODY) * 10, len(BODY) * 10, BYTES)


def test_a_symbolic_link_is_made_if_hard_links_are_not_known_for_the_same_file(
    folder: Path, destination: Path, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on FUSE file systems that number files by their names."""
    monkeypatch.setattr(os, "link", lambda source, link, **_: shutil.copy2(source, link))
    fetch(folder, destination)
    assert_only_file(destination, BODY)
    assert destination.readlink() == folder / NAME


def test_a_damaged_local_file_is_an_error_and_is_left_alone(folder: Path, destination: Path, fetch: Fetch) -> None:
    (folder / NAME).write_bytes(BODY[:-1])
    with pytest.raises(ChecksumError, match=f"{md5_of(BODY[:-1])}.*{md5_of(BODY)}") as caught:
        fetch(folder, destination)
    assert str(folder / NAME) in str(caught.value)
    assert (folder / NAME).read_bytes() == BODY[:-1]
    assert beside(destination) == []


def test_a_damaged_file_on_another_file_system_is_not_linked(
    folder_on_another_disk: Path, destination: Path, fetch: Fetch
) -> None:
    with pytest.raises(ChecksumError, match=f"{md5_of(BODY * 10)}.*{md5_of(BODY)}"):
        fetch(folder_on_another_disk, destination)
    assert beside(destination) == []
    assert (folder_on_another_disk / NAME).read_bytes() == BODY * 10


def test_a_local_file_replaces_a_partial_file_from_a_server(
    server: HostileServer, folder: Path, destination: Path, fetch: Fetch
) -> None:
    leave_partial(server, destination)
    fetch(folder, destination)
    assert_only_file(destination)


def test_a_link_probe_left_by_a_killed_process_does_no_harm(folder: Path, destination: Path, fetch: Fetch) -> None:
    os.link(folder / NAME, destination.with_name(destination.name + ".partial.link"))
    fetch(folder, destination)
    assert_only_file(destination)


def test_without_an_md5_a_local_file_is_linked_unread(folder: Path, destination: Path, fetch: Fetch) -> None:
    fetch(folder, destination, md5=None)
    assert destination.samefile(folder / NAME)
    assert fetch.calls == []


def test_a_missing_local_file_is_an_error_with_the_expected_names(
    tmp_path: Path, destination: Path, fetch: Fetch
) -> None:
    with pytest.raises(DownloadError, match=re.escape(f"{tmp_path / NAME} ")) as caught:
        fetch(tmp_path, destination)
    for archive in ARCHIVES:
        assert archive.name in str(caught.value)
    assert beside(destination) == []


@pytest.mark.parametrize("is_replaced", [True, False], ids=["replaced", "written"])
def test_a_local_file_that_changes_while_it_is_verified_is_not_published(
    is_replaced: bool, folder: Path, destination: Path, fetch: Fetch
) -> None:
    def change(stage: str, done: int, total: int | None, unit: str) -> None:
        if is_replaced:
            (folder / "new").write_bytes(BODY[::-1])
            (folder / "new").rename(folder / NAME)
        else:
            (folder / NAME).write_bytes(BODY[::-1])

    with pytest.raises(DownloadError, match=f"{re.escape(str(folder / NAME))} has changed"):
        fetch(folder, destination, progress=change)
    assert beside(destination) == []
    assert (folder / NAME).read_bytes() == BODY[::-1]


def test_a_link_to_a_local_file_is_on_the_disk_before_the_download_ends(
    folder: Path, destination: Path, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[int, bool]] = []
    real = os.fsync

    def note(descriptor: int) -> None:
        synced.append((os.fstat(descriptor).st_ino, destination.exists()))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    fetch(folder, destination)
    assert ((folder / NAME).stat().st_ino, False) in synced
    assert synced[-1] == (destination.parent.stat().st_ino, True)


def test_an_unreadable_local_file_is_an_error_that_names_it(folder: Path, destination: Path) -> None:
    def fail(*_: object) -> str:
        raise OSError(errno.EIO, os.strerror(errno.EIO), str(folder / NAME))

    with pytest.raises(DownloadError, match=f"cannot read {re.escape(str(folder / NAME))}: .*disk.*failed") as caught:
        download(str(folder), NAME, destination, md5=md5_of(BODY), md5_of=fail)
    assert "writable" not in str(caught.value)
