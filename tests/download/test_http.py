import gzip
from pathlib import Path

import pytest

from luigi_ilsvrc.download.source import DownloadError
from luigi_ilsvrc.progress import BYTES
from tests.download.helpers import BODY, Fetch, assert_only_file, beside, md5_of
from tests.support import hostile_server as hostile
from tests.support.hostile_server import HostileServer


def test_a_missing_file_is_an_error_without_another_attempt(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.answer(404)]
    with pytest.raises(DownloadError, match=r"/data/images.tar .*404.*--source"):
        fetch(server.url, destination)
    assert len(server.requests) == 1
    assert beside(destination) == []


def test_a_tar_gz_sent_with_content_encoding_gzip_is_stored_as_it_is(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    packed = gzip.compress(BODY)
    server.script = [hostile.answer(200, packed, Content_Encoding="gzip")]
    fetch(server.url, destination, name="boxes.tar.gz", md5=md5_of(packed))
    assert_only_file(destination, packed)


def test_no_compression_is_requested_and_a_compressed_tar_is_an_error(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.answer(200, gzip.compress(BODY), Content_Encoding="gzip")]
    with pytest.raises(DownloadError, match="gzip"):
        fetch(server.url, destination, md5=None)
    assert server.header("Accept-Encoding") == ["identity"]
    assert beside(destination) == []


@pytest.mark.parametrize("behaviour", [hostile.chunked, hostile.until_closed])
def test_a_body_of_unknown_length_is_downloaded(
    behaviour: hostile.Behaviour, server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [behaviour]
    fetch(server.url, destination)
    assert_only_file(destination)
    assert fetch.calls[-1] == ("downloading", len(BODY), None, BYTES)


def test_if_a_server_ignores_ranges_all_is_downloaded_again(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.close_at(100_000), hostile.ignore_range]
    fetch(server.url, destination)
    assert_only_file(destination)
    assert len(server.requests) == 2


def test_ranges_shorter_than_requested_are_joined(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    server.script = [hostile.in_parts(70_000)] * 9
    fetch(server.url, destination)
    assert_only_file(destination)


@pytest.mark.parametrize(
    "wrong",
    [
        hostile.shift_range(90_000, len(BODY)),
        hostile.shift_range(100_000, len(BODY) + 1),
        hostile.answer(206, BODY[100_000:]),
    ],
    ids=["another start", "another total", "none"],
)
def test_a_wrong_content_range_means_starting_over(
    wrong: hostile.Behaviour, server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.close_at(100_000), wrong]
    fetch(server.url, destination)
    assert_only_file(destination)
    assert server.header("Range") == [None, "bytes=100000-", None]


def test_repeated_wrong_content_ranges_are_an_error(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    server.script = [hostile.shift_range(10, len(BODY))] * 9
    with pytest.raises(DownloadError, match=r"images.tar: .*byte 10 .* 3 attempts"):
        fetch(server.url, destination)
    assert beside(destination) == []


def test_redirects_in_a_circle_are_an_error(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    server.script = [hostile.redirect("/data/images.tar")] * 99
    with pytest.raises(DownloadError, match=r"images.tar: .*20 redirects"):
        fetch(server.url, destination)


@pytest.mark.parametrize("target", ["ftp://elsewhere/file", "http://[broken", "http://host:port/"])
def test_a_redirect_to_an_invalid_or_other_url_is_an_error(
    target: str, server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.redirect(target)]
    with pytest.raises(DownloadError, match="images.tar: .*--source"):
        fetch(server.url, destination)
