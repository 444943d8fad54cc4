import json
from email.utils import formatdate
from pathlib import Path

import pytest

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
    fetch(server.url, destination)
    assert_only_file(destination)
    assert server.header("Range") == [None, "bytes=100000-"]
    assert server.header("If-Range") == [None, '"first"']
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
    assert server.header("If-Range") == ['"first"']


def test_a_changed_etag_is_noticed_if_the_server_ignores_if_range(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    leave_partial(server, destination)
    server.body, server.etag = BODY[:512] + BODY[:511:-1], '"second"'
    server.script = [hostile.shift_range(100_000, len(BODY))]
    fetch(server.url, destination, md5=md5_of(server.body))
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
    fetch(server.url, destination)
    assert server.header("If-Range") == [None, date]
    assert_only_file(destination)


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


@pytest.mark.parametrize("change", [{"total": "x"}, {"total": 1.5}, {"address": 1}, {"etag": []}, {"modified": 1}])
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
