import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from luigi_ilsvrc.download.checksums import ChecksumError
from luigi_ilsvrc.download.source import DownloadError
from luigi_ilsvrc.progress import BYTES
from tests.download.helpers import BODY, NAME, Fetch, assert_only_file, beside, md5_of, partial_of
from tests.support import hostile_server as hostile
from tests.support.hostile_server import HostileServer


def test_a_file_is_downloaded_whole(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    fetch(server.url, destination)
    assert_only_file(destination)
    assert [request.path for request in server.requests] == ["/data/images.tar"]


def test_a_file_that_exists_is_not_requested(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    destination.write_bytes(b"already here")
    fetch(server.url, destination)
    assert destination.read_bytes() == b"already here"
    assert server.requests == []


def test_progress_counts_bytes(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    fetch(server.url, destination)
    assert {(stage, total, unit) for stage, _, total, unit in fetch.calls} == {("downloading", len(BODY), BYTES)}
    assert [call[1] for call in fetch.calls] == sorted(call[1] for call in fetch.calls)
    assert fetch.calls[-1][1] == len(BODY)


def test_a_trailing_slash_of_the_source_is_not_doubled(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    fetch(server.url + "/", destination)
    assert server.requests[0].path == "/data/images.tar"


def test_a_query_string_stays_at_the_end(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    fetch(server.url + "/?sig=a%2Fb%3D&v=1", destination)
    assert server.requests[0].path == "/data/images.tar?sig=a%2Fb%3D&v=1"


def test_without_an_md5_the_length_decides(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    server.script = [hostile.close_at(1000), hostile.flip_a_byte]
    fetch(server.url, destination, md5=None)
    assert destination.stat().st_size == len(BODY)


def test_an_md5_may_be_written_in_capitals(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    fetch(server.url, destination, md5=md5_of(BODY).upper())
    assert_only_file(destination)


def test_a_file_with_a_flipped_byte_is_never_published(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    server.script = [hostile.flip_a_byte]
    with pytest.raises(ChecksumError) as caught:
        fetch(server.url, destination)
    wrong = bytearray(BODY)
    wrong[len(BODY) // 2] ^= 1
    assert md5_of(wrong) in str(caught.value)
    assert md5_of(BODY) in str(caught.value)
    assert server.url in str(caught.value)
    assert beside(destination) == []
    fetch(server.url, destination)
    assert_only_file(destination)


def test_pythons_own_server_without_ranges_is_a_source(folder: Path, destination: Path, fetch: Fetch) -> None:
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout
            port = re.search(r"port (\d+)", process.stdout.readline())
            assert port
            partial_of(destination).write_bytes(BODY[:1000])
            fetch(f"http://127.0.0.1:{port[1]}", destination)
        finally:
            process.terminate()
    assert_only_file(destination)


@pytest.mark.parametrize("source", ["s3://bucket/data", "http://[broken", "http://host:port", "http://", "file://[x"])
def test_an_invalid_source_is_an_error(source: str, destination: Path, fetch: Fetch) -> None:
    with pytest.raises(DownloadError, match=r"--source|images.tar"):
        fetch(source, destination)
    assert beside(destination) == []


def test_a_missing_folder_is_an_error_before_the_first_request(
    server: HostileServer, tmp_path: Path, fetch: Fetch
) -> None:
    with pytest.raises(DownloadError, match=r"nowhere/images.tar.*: No such file or directory.*--data-dir"):
        fetch(server.url, tmp_path / "nowhere" / NAME)
    assert server.requests == []


def test_a_folder_that_may_not_be_written_is_an_error_before_the_first_request(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    destination.parent.chmod(0o500)
    try:
        if os.access(destination.parent, os.W_OK):
            pytest.skip("root may write everywhere")
        with pytest.raises(DownloadError, match=r"training_images.tar.*: Permission denied.*--data-dir"):
            fetch(server.url, destination)
    finally:
        destination.parent.chmod(0o700)
    assert server.requests == []
