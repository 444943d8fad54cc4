from pathlib import Path

import pytest

from luigi_ilsvrc.download.checksums import ChecksumError
from luigi_ilsvrc.download.source import DownloadError
from tests.download.helpers import (
    BODY,
    Fetch,
    assert_only_file,
    beside,
    bytes_of,
    leave_partial,
    md5_of,
    partial_of,
    ranges_of,
    wait_until,
)
from tests.download.segments.helpers import begin, bytes_recorded
from tests.support import hostile_server as hostile
from tests.support.disks import largest_file
from tests.support.hostile_server import HostileServer


@pytest.mark.parametrize(
    "failure",
    [hostile.close_at(5_000), hostile.reset_at(5_000), hostile.stall_at(5_000), hostile.close_at(0)],
    ids=["closed early", "reset", "stalled", "closed at once"],
)
def test_if_one_connection_fails_the_others_do_its_work(
    failure: hostile.Behaviour, server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [begin, failure]
    fetch(server.url, destination, timeout=3)
    assert_only_file(destination)
    assert fetch.waits == []


def test_if_all_connections_fail_the_download_waits_and_continues(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.close_at(10_000)] * 9
    fetch(server.url, destination, attempts=2)
    assert_only_file(destination)
    assert fetch.waits != []


def test_a_server_that_fails_for_good_is_an_error_and_the_received_bytes_are_kept(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.close_at(10_000)] * 3 + [hostile.answer(503)] * 99
    with pytest.raises(DownloadError, match=" 3 attempts.* 30,000 bytes"):
        fetch(server.url, destination)
    assert bytes_recorded(destination) == 30_000


def test_replies_shorter_than_requested_are_joined(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    leave_partial(server, destination, 1_000)

    def cut_short(handler: hostile.Handler) -> None:
        start = int((handler.headers["Range"] or "bytes=0-")[6:].partition("-")[0])
        part = BODY[start : start + 7_000]
        content_range = f"bytes {start}-{start + len(part) - 1}/{len(BODY)}"
        handler.head(206, Content_Length=len(part), Content_Range=content_range)
        handler.wfile.write(part)

    server.script = [cut_short] * 5
    fetch(server.url, destination)
    assert_only_file(destination)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("retry_after", [None, 200])
def test_a_server_that_refuses_further_connections_gets_fewer(
    status: int, retry_after: int | None, server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    refuse = hostile.answer(status, Retry_After=retry_after)
    server.script = [begin, refuse, refuse]
    fetch(server.url, destination)
    assert_only_file(destination)
    assert fetch.waits == []


@pytest.mark.parametrize(
    "wrong",
    [
        hostile.shift_range(60_000, len(BODY) + 1),
        hostile.shift_range(60_000, len(BODY)),
        hostile.answer(206, BODY[:60_000]),
    ],
    ids=["another total", "another start", "no range"],
)
def test_a_wrong_content_range_of_one_part_does_no_harm(
    wrong: hostile.Behaviour, server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [begin, wrong]
    fetch(server.url, destination)
    assert_only_file(destination)


def test_a_part_of_another_version_means_starting_over(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    def other_etag(handler: hostile.Handler) -> None:
        server.etag = '"second"'
        handler.rest()
        handler.close_connection = True

    server.script = [hostile.stall_at(10_000), other_etag]
    fetch(server.url, destination, md5=None)
    assert_only_file(destination)
    assert len(fetch.waits) == 1


def test_a_changed_etag_of_one_part_is_noticed_if_the_server_ignores_if_range(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    def other_etag(handler: hostile.Handler) -> None:
        start, _, last = (handler.headers["Range"] or "")[6:].partition("-")
        part = BODY[int(start) : int(last) + 1][::-1]
        content_range = f"bytes {start}-{last}/{len(BODY)}"
        handler.head(206, Content_Length=len(part), Content_Range=content_range, ETag='"second"')
        handler.wfile.write(part)

    server.script = [begin, other_etag]
    fetch(server.url, destination, md5=None)
    assert_only_file(destination)
    assert len(fetch.waits) == 1


def test_with_an_md5_each_part_may_come_from_another_host_of_a_mirror(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    def other_headers(handler: hostile.Handler) -> None:
        server.etag = f'"{len(server.requests)}"'
        hostile.serve(handler)

    server.script = [begin, *[other_headers] * 99]
    fetch(server.url, destination)
    assert_only_file(destination)
    assert fetch.waits == []
    assert sum(server.sent) < len(BODY)


def test_a_login_page_instead_of_a_part_is_an_error_and_the_received_bytes_are_kept(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    def page_after_a_while(handler: hostile.Handler) -> None:
        wait_until(lambda: bytes_of(partial_of(destination)) == 10_000)
        hostile.page("text/html")(handler)

    server.script = [hostile.stall_at(10_000), page_after_a_while, page_after_a_while]
    with pytest.raises(DownloadError, match="images.tar .*text/html"):
        fetch(server.url, destination)
    assert ranges_of(destination) == [[0, 10_000]]


def test_a_file_with_a_flipped_byte_in_one_part_is_never_published(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    def flip(handler: hostile.Handler) -> None:
        _, rest = handler.rest()
        handler.wfile.write(rest[:500] + bytes([rest[500] ^ 1]) + rest[501:])

    server.script = [begin, flip]
    with pytest.raises(ChecksumError, match=md5_of(BODY)):
        fetch(server.url, destination)
    assert beside(destination) == []


def test_a_file_larger_than_the_free_space_is_an_error_before_the_second_connection(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.answer(200, BODY, Content_Length=10**18)]
    with pytest.raises(DownloadError, match=r"1,000,000,000,000,000,000 bytes"):
        fetch(server.url, destination)
    assert len(server.requests) == 1
    assert beside(destination) == []


def test_a_failed_write_stops_all_connections_and_the_received_bytes_are_kept(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    with (
        largest_file(70_000),
        pytest.raises(DownloadError, match=r"training_images.tar.partial: File too large"),
    ):
        fetch(server.url, destination)
    kept = bytes_recorded(destination)
    assert 0 < kept <= 70_000
    fetch(server.url, destination)
    assert_only_file(destination)
