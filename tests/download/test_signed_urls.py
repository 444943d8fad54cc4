"""A signature in the query of a source is for the server only."""

import logging
import traceback
from pathlib import Path

import pytest

from luigi_ilsvrc.download.source import DownloadError
from tests.download.helpers import BODY, Fetch, assert_only_file, record_file
from tests.support import hostile_server as hostile
from tests.support.hostile_server import HostileServer

SECRET = "5ignature"
QUERY = f"?X-Amz-Expires=9&X-Amz-Signature={SECRET}"


@pytest.fixture(autouse=True)
def log_all(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


REPLIES = {
    "403": hostile.answer(403),
    "503": hostile.answer(503),
    "page": hostile.page("text/html"),
    "redirect": hostile.redirect(f"/elsewhere{QUERY}"),
    "redirect to nowhere": hostile.redirect(f"http://nowhere.invalid/{QUERY}"),
    "redirect to no URL": hostile.redirect(f"http://host:port/{QUERY}"),
    "redirect to a file": hostile.redirect(f"file:///x{QUERY}"),
    "broken": hostile.close_at(1000),
    "reset": hostile.reset_at(1000),
    "silent": hostile.stall_at(1000),
    "no HTTP": hostile.raw(b"\0\1\2"),
    "no headers": hostile.raw(b"HTTP/1.1 200 OK\r\nno header\r\n\r\n"),
    "401": hostile.answer(401, WWW_Authenticate="Basic"),
}


@pytest.mark.parametrize("reply", REPLIES.values(), ids=REPLIES)
def test_a_signature_is_in_no_error_log_or_state_file(
    reply: hostile.Behaviour,
    server: HostileServer,
    destination: Path,
    fetch: Fetch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server.script = [hostile.close_at(50_000), reply, hostile.answer(404)]
    with pytest.raises(DownloadError) as caught:
        fetch(server.url + QUERY, destination, timeout=3)
    assert server.requests[0].path.endswith(QUERY)
    assert "urllib3" in {record.name.partition(".")[0] for record in caplog.records}
    shown = "".join(traceback.format_exception(caught.value))
    for text in (shown, repr(caught.value), caplog.text, record_file(destination).read_text()):
        assert SECRET not in text


def test_a_server_that_cannot_be_reached_does_not_show_the_signature(
    destination: Path, fetch: Fetch, caplog: pytest.LogCaptureFixture
) -> None:
    with hostile.running(BODY) as gone:
        url = gone.url
    for source in (url, "http://nowhere.invalid/data", "http://host:port", "s3://bucket/x", "https:/host/data"):
        with pytest.raises(DownloadError) as caught:
            fetch(source + QUERY, destination)
        assert SECRET not in "".join(traceback.format_exception(caught.value))
    assert SECRET not in caplog.text


def test_a_signature_reaches_the_server_on_each_request_as_it_is(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    signed = "?a=%2Fb%3D&c=d+e%20f&g=~"
    server.accept_ranges = "bytes"
    server.script = [hostile.close_at(50_000), hostile.redirect("/moved?h=%2F"), hostile.answer(503)]
    fetch(server.url + signed, destination)
    assert_only_file(destination)
    assert {request.path for request in server.requests} == {f"/data/images.tar{signed}", "/moved?h=%2F"}
