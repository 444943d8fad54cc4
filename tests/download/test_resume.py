import json
from email.utils import formatdate
from pathlib import Path

import pytest

from luigi_ilsvrc.download.checksums import ChecksumError
from luigi_ilsvrc.download.source import DownloadError
from luigi_ilsvrc.progress import BYTES
from tests.download.helpers import (
    BODY,
    Fetch,
    assert_only_file,
    bytes_of,
    in_another_process,
    leave_partial,
    md5_of,
    partial_of,
    record_file,
    record_of,
    tar_of,
    wait_until,
)
from tests.support import hostile_server as hostile
from tests.support.hostile_server import HostileServer


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (hostile.close_at(100_000), "IncompleteRead"),
        (hostile.reset_at(100_000), "Connection reset by peer"),
        (hostile.stall_at(100_000), "timed out"),
    ],
    ids=["closed early", "reset", "stalled"],
)
def test_a_body_that_breaks_off_is_resumed_at_that_byte(
    failure: hostile.Behaviour,
    reason: str,
    server: HostileServer,
    destination: Path,
    fetch: Fetch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server.script = [failure]
    fetch(server.url, destination, timeout=3)
    assert_only_file(destination)
    assert server.header("Range") == [None, "bytes=100000-"]
    assert reason in caplog.text


def test_a_chunked_body_that_breaks_off_is_resumed(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    server.script = [hostile.break_chunked]
    fetch(server.url, destination)
    assert_only_file(destination)
    assert server.header("Range") == [None, "bytes=50000-"]


def test_the_next_run_resumes_where_the_last_one_gave_up(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    leave_partial(server, destination)
    fetch(server.url, destination)
    assert_only_file(destination)
    assert server.header("Range") == ["bytes=100000-"]
    assert ("checking", 100_000, 100_000, BYTES) in fetch.calls


def test_the_next_run_resumes_where_a_killed_one_stopped(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.stall_at(100_000)]
    process = in_another_process(server.url, destination)
    wait_until(lambda: bytes_of(partial_of(destination)) == 100_000)
    process.kill()
    process.wait()
    fetch(server.url, destination)
    assert_only_file(destination)
    assert server.header("Range") == [None, "bytes=100000-"]


def test_a_login_page_does_not_replace_the_partial_file(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    leave_partial(server, destination)
    server.script = [hostile.page("text/html")]
    with pytest.raises(DownloadError, match="text/html"):
        fetch(server.url, destination)
    fetch(server.url, destination)
    assert_only_file(destination)
    assert server.header("Range")[-1] == "bytes=100000-"


def test_a_file_that_changed_between_two_runs_is_downloaded_again(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    leave_partial(server, destination)
    server.body, server.etag = tar_of(300_000), '"second"'
    fetch(server.url, destination, md5=md5_of(server.body))
    assert_only_file(destination, server.body)
    assert server.header("Range") == ["bytes=100000-", None]


def test_without_an_md5_the_etag_is_the_condition(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    leave_partial(server, destination, md5=None)
    server.body, server.etag = BODY[:512] + BODY[:511:-1], '"second"'
    fetch(server.url, destination, md5=None)
    assert_only_file(destination, server.body)
    assert server.header("If-Range") == ['"first"']


def test_a_changed_etag_is_noticed_if_the_server_ignores_if_range(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    leave_partial(server, destination, md5=None)
    server.body, server.etag = BODY[:512] + BODY[:511:-1], '"second"'
    server.script = [hostile.shift_range(100_000, len(BODY))]
    fetch(server.url, destination, md5=None)
    assert_only_file(destination, server.body)


def test_without_a_strong_etag_the_date_is_the_condition(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.etag = None
    date = formatdate(0, usegmt=True)

    def begin(handler: hostile.Handler) -> None:
        handler.head(200, Content_Length=len(BODY), ETag='W/"weak"', Last_Modified=date)
        handler.wfile.write(BODY[:1000])
        handler.close_connection = True

    server.script = [begin]
    fetch(server.url, destination, md5=None)
    assert server.header("If-Range") == [None, date]
    assert_only_file(destination)


def other_headers(handler: hostile.Handler) -> None:
    """Another host of a mirror: the same bytes, another ETag and date."""
    handler.server.etag = f'"{len(handler.server.requests)}"'
    start = int((handler.headers["Range"] or "bytes=0-")[6:].partition("-")[0])
    span = f"bytes {start}-{len(BODY) - 1}/{len(BODY)}"
    date = formatdate(len(handler.server.requests), usegmt=True)
    handler.head(206, Content_Length=len(BODY) - start, Content_Range=span, Last_Modified=date)
    handler.wfile.write(BODY[start : start + 40_000])
    handler.close_connection = True


def test_with_an_md5_the_bytes_of_several_hosts_of_a_mirror_are_joined(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    leave_partial(server, destination)
    server.script = [other_headers] * 99
    fetch(server.url, destination)
    assert_only_file(destination)
    assert [value and int(value[6:-1]) for value in server.header("Range")] == [*range(100_000, len(BODY), 40_000)]
    assert set(server.header("If-Range")) == {None}


def test_without_an_md5_the_bytes_of_several_hosts_of_a_mirror_are_not_joined(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    leave_partial(server, destination, md5=None)
    server.script = [other_headers] * 99
    with pytest.raises(DownloadError, match="has changed: starting over"):
        fetch(server.url, destination, md5=None)


def test_with_an_md5_a_file_of_another_length_is_started_over(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    leave_partial(server, destination)
    server.body = tar_of(90_000, 100_000)
    fetch(server.url, destination, md5=md5_of(server.body))
    assert_only_file(destination, server.body)


def test_if_earlier_bytes_are_damaged_the_same_run_downloads_all_of_them_again(
    server: HostileServer, destination: Path, fetch: Fetch, caplog: pytest.LogCaptureFixture
) -> None:
    """What a power cut takes from the disk, although the file's length is recorded."""
    leave_partial(server, destination)
    with partial_of(destination).open("r+b") as file:
        file.seek(50_000)
        file.write(bytes(10_000))
    fetch(server.url, destination)
    assert_only_file(destination)
    assert "earlier run" in caplog.text


def test_earlier_bytes_are_downloaded_again_only_once(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    leave_partial(server, destination)
    with pytest.raises(ChecksumError, match="0" * 32):
        fetch(server.url, destination, md5="0" * 32)
    assert server.header("Range") == ["bytes=100000-", None]


def test_a_complete_partial_file_is_verified_without_a_request(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    leave_partial(server, destination)
    partial_of(destination).write_bytes(BODY)
    fetch(server.url, destination)
    assert_only_file(destination)
    assert server.requests == []


def forget_the_length(destination: Path) -> None:
    record_file(destination).write_text(json.dumps({**record_of(destination), "total": None}))


def test_a_416_to_a_complete_partial_file_means_done(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    leave_partial(server, destination)
    forget_the_length(destination)
    partial_of(destination).write_bytes(BODY)
    fetch(server.url, destination)
    assert_only_file(destination)
    assert server.header("Range") == [f"bytes={len(BODY)}-"]


def test_a_416_to_a_partial_file_that_is_too_long_means_starting_over(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    leave_partial(server, destination)
    forget_the_length(destination)
    partial_of(destination).write_bytes(BODY + b"more")
    fetch(server.url, destination)
    assert_only_file(destination)
    assert len(server.requests) == 2


def test_a_partial_file_longer_than_the_file_is_started_over(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    leave_partial(server, destination)
    partial_of(destination).write_bytes(BODY + b"more")
    fetch(server.url, destination)
    assert_only_file(destination)
    assert server.header("Range") == [None]


@pytest.mark.parametrize("record", [b"", b"{", b"[]", b'{"unknown": 1}'])
def test_a_partial_file_with_an_invalid_record_is_started_over(
    record: bytes, server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    leave_partial(server, destination)
    record_file(destination).write_bytes(record)
    fetch(server.url, destination)
    assert_only_file(destination)
    assert server.header("Range") == [None]


@pytest.mark.parametrize(
    "change", [{"total": "x"}, {"total": 1.5}, {"address": 1}, {"etag": []}, {"modified": 1}, {"etag": "a\r\nb"}]
)
def test_a_record_with_a_value_of_a_wrong_type_means_starting_over(
    change: dict[str, object], server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    leave_partial(server, destination)
    record_file(destination).write_text(json.dumps({**record_of(destination), **change}))
    fetch(server.url, destination)
    assert_only_file(destination)
    assert server.header("Range") == [None]


def test_a_partial_file_of_another_source_is_started_over(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    leave_partial(server, destination)
    fetch(server.url_by_another_name, destination)
    assert_only_file(destination)
    assert server.header("Range") == [None]
