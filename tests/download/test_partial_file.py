import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from luigi_ilsvrc.download.partial_file import allocated_bytes, companion_files
from luigi_ilsvrc.download.source import DownloadError
from tests.download.helpers import BODY, NAME, Fetch, assert_only_file, beside, leave_partial, partial_of, record_file
from tests.support import hostile_server as hostile
from tests.support.disks import largest_file, mounted, remount
from tests.support.hostile_server import HostileServer


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "mount", "128k") as folder:
        yield folder


def test_a_file_larger_than_the_free_space_is_an_error_before_its_first_byte(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.answer(200, BODY, Content_Length=10**18)]
    with pytest.raises(DownloadError, match=r"1,000,000,000,000,000,000 bytes .*, [\d,]+ are free"):
        fetch(server.url, destination)
    assert beside(destination) == []


def test_after_a_failed_write_the_received_bytes_are_kept_and_the_next_run_completes(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    with (
        largest_file(100_000),
        pytest.raises(DownloadError, match=r"training_images.tar.partial: File too large.* 100,000 bytes"),
    ):
        fetch(server.url, destination)
    fetch(server.url, destination)
    assert_only_file(destination)
    assert server.header("Range") == [None, "bytes=100000-"]


def test_a_disk_that_becomes_full_is_an_error_with_the_free_bytes(
    server: HostileServer, small_disk: Path, fetch: Fetch
) -> None:
    destination = small_disk / NAME
    server.script = [hostile.chunked]
    with pytest.raises(DownloadError, match=r"No space left on device.* unknown number of bytes .* 0 are free"):
        fetch(server.url, destination)
    remount(small_disk, "size=1m")
    fetch(server.url, destination)
    assert_only_file(destination)
    assert server.header("Range")[1] is not None


def test_a_partial_file_that_is_a_hard_link_leaves_the_other_file_unchanged(
    server: HostileServer, folder: Path, destination: Path, fetch: Fetch
) -> None:
    (folder / NAME).write_bytes(b"precious")
    os.link(folder / NAME, partial_of(destination))
    fetch(server.url, destination)
    assert (folder / NAME).read_bytes() == b"precious"
    assert_only_file(destination)


def test_a_partial_file_that_is_a_symbolic_link_is_not_followed(
    server: HostileServer, folder: Path, destination: Path, fetch: Fetch
) -> None:
    (folder / NAME).write_bytes(b"precious")
    partial_of(destination).symlink_to(folder / NAME)
    fetch(server.url, destination)
    assert (folder / NAME).read_bytes() == b"precious"
    assert_only_file(destination)


def test_allocated_bytes_do_not_include_gaps(destination: Path) -> None:
    partial_of(destination).write_bytes(bytes(8192))
    os.truncate(partial_of(destination), 1 << 30)
    assert 8192 <= allocated_bytes(destination) < 1 << 20


def test_without_a_partial_file_no_bytes_are_allocated(destination: Path) -> None:
    assert allocated_bytes(destination) == 0
    assert allocated_bytes(destination.parent / "nowhere" / NAME) == 0
    destination.write_bytes(b"a file, not a folder")
    assert allocated_bytes(destination / NAME) == 0


def test_what_a_download_leaves_beside_the_partial_file_is_a_companion_file(
    server: HostileServer, destination: Path
) -> None:
    leave_partial(server, destination)
    kept = {path.name for path in destination.parent.iterdir()} - {partial_of(destination).name}
    assert kept == {record_file(destination).name}
    assert kept < {path.name for path in companion_files(destination)}


def test_a_finished_download_removes_all_companion_files(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    for path in companion_files(destination):
        path.write_bytes(b"of a killed process")
    fetch(server.url, destination)
    assert_only_file(destination)
