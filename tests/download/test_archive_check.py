import gzip
from pathlib import Path

import pytest

from luigi_ilsvrc.dataset import archives
from luigi_ilsvrc.download.source import DownloadError
from tests.download.helpers import BODY, NAME, Fetch, assert_only_file, beside
from tests.support import hostile_server as hostile
from tests.support.hostile_server import HostileServer


@pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "application/x-tar", "application/octet-stream"])
@pytest.mark.parametrize("name", [NAME, "boxes.tar.gz"])
def test_a_login_page_is_recognised_with_any_content_type(
    content_type: str, name: str, server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.page(content_type)]
    with pytest.raises(DownloadError) as caught:
        fetch(server.url, destination, name=name, md5=None)
    assert f"{server.url}/{name}" in str(caught.value)
    assert content_type in str(caught.value)
    assert "IMAGENET_USERNAME" in str(caught.value)
    assert archives.SIGN_UP in str(caught.value)
    assert beside(destination) == []


def test_a_page_that_arrives_in_small_parts_is_recognised(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.drip_page]
    with pytest.raises(DownloadError, match=r"images.tar .*application/x-tar"):
        fetch(server.url, destination, md5=None)
    assert beside(destination) == []


def test_the_error_for_a_login_page_after_a_redirect_names_the_url_of_the_page(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.redirect("/login"), hostile.page("text/html")]
    with pytest.raises(DownloadError, match=r"http://127.0.0.1:\d+/login .*text/html"):
        fetch(server.url, destination)


@pytest.mark.parametrize(
    "body", [b'{"error": "no"}', b"<?xml version='1.0'?><Error/>", b'\xef\xbb\xbf [{"a": 1}]', b""]
)
def test_a_message_or_an_empty_body_is_not_an_archive(
    body: bytes, server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.answer(200, body, Content_Type="application/x-tar")]
    with pytest.raises(DownloadError, match=r"images.tar .*application/x-tar"):
        fetch(server.url, destination, md5=None)
    assert beside(destination) == []


def test_a_tar_gz_must_be_gzip(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    with pytest.raises(DownloadError, match=r"boxes.tar.gz .*gzip"):
        fetch(server.url, destination, name="boxes.tar.gz", md5=None)


def test_an_archive_sent_as_html_is_accepted(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    server.script = [hostile.answer(200, BODY, Content_Type="text/html")]
    fetch(server.url, destination)
    assert_only_file(destination)


@pytest.mark.parametrize("content_type", [None, "application/x-tar", "application/octet-stream"])
@pytest.mark.parametrize(
    "body",
    [b"Please sign in. " * 1000, bytes(10_000), BODY[:300], BODY[:20] + b"x" + BODY[21:], BODY[512:]],
    ids=["plain text", "zeros", "cut", "a changed byte", "no header"],
)
def test_a_tar_must_begin_with_a_header_whatever_the_content_type(
    body: bytes, content_type: str | None, server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.answer(200, body, Content_Type=content_type)]
    with pytest.raises(DownloadError, match=r"images.tar sent something that is not a tar archive .* images.tar"):
        fetch(server.url, destination, md5=None)
    assert beside(destination) == []


@pytest.mark.parametrize("name", ["boxes.tar.gz", "boxes.tgz"])
def test_gzip_is_recognised_by_its_first_bytes(
    name: str, server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    body = gzip.compress(BODY)
    server.script = [hostile.answer(200, b"\x1f\x8b" + b"nothing like it"), hostile.answer(200, body)]
    with pytest.raises(DownloadError, match="not gzip"):
        fetch(server.url, destination, name=name, md5=None)
    fetch(server.url, destination, name=name, md5=None)
    assert_only_file(destination, body)


def test_a_tar_of_before_posix_is_accepted(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    header = bytearray(BODY[:512])
    header[257:265] = bytes(8)
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    server.body = bytes(header) + BODY[512:]
    fetch(server.url, destination, md5=None)
    assert_only_file(destination, server.body)


def test_a_connection_that_breaks_within_the_first_block_is_tried_again(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    def cut(handler: hostile.Handler) -> None:
        handler.protocol_version = "HTTP/1.0"
        handler.head(200)
        handler.wfile.write(BODY[:100])
        handler.close_connection = True

    server.script = [hostile.close_at(100), cut]
    fetch(server.url, destination)
    assert_only_file(destination)
    assert len(fetch.waits) == 2
