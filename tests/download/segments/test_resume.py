import json
import os
from pathlib import Path

import pytest

from luigi_ilsvrc.progress import BYTES
from tests.download.helpers import (
    BODY,
    Fetch,
    assert_only_file,
    leave_partial,
    md5_of,
    partial_of,
    ranges_of,
    record_file,
    record_of,
)
from tests.download.segments.helpers import begin, leave_ranges
from tests.support import hostile_server as hostile
from tests.support.hostile_server import HostileServer


def test_after_a_kill_only_the_missing_bytes_are_downloaded(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    leave_ranges(server, destination)
    assert len(ranges_of(destination)) == 3
    fetch(server.url, destination)
    assert_only_file(destination)
    assert sum(server.sent) == len(BODY) - 30_000


def test_one_connection_continues_what_several_have_begun(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    leave_ranges(server, destination)
    fetch(server.url, destination, connections=1)
    assert_only_file(destination)
    assert sum(server.sent) == len(BODY) - 30_000


def test_several_connections_continue_what_one_has_begun(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    leave_partial(server, destination)
    server.script = [begin]
    fetch(server.url, destination)
    assert_only_file(destination)
    assert server.header("Range")[0] == "bytes=100000-"
    assert len(server.requests) >= 3
    assert ("checking", 100_000, 100_000, BYTES) in fetch.calls


def test_ranges_of_a_file_that_has_changed_are_discarded(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    leave_ranges(server, destination)
    server.body, server.etag = BODY[:512] + BODY[:511:-1], '"second"'
    fetch(server.url, destination, md5=md5_of(server.body))
    assert_only_file(destination, server.body)


def test_ranges_are_discarded_if_the_server_sends_no_ranges_any_more(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    leave_ranges(server, destination)
    server.accept_ranges = None
    server.script = [hostile.ignore_range]
    fetch(server.url, destination)
    assert_only_file(destination)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "ranges", ["x", [1], [["a", "b"]], [[0]], {"a": 1}, None, [], [[0, -3]], [[-9, -3]], [[0, float("inf")]]]
)
def test_an_invalid_list_of_ranges_does_no_harm(
    ranges: object, server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    leave_partial(server, destination)
    record = record_file(destination)
    record.write_text(json.dumps({**record_of(destination), "ranges": ranges}))
    fetch(server.url, destination)
    assert_only_file(destination)


def test_ranges_beyond_the_length_of_the_partial_file_are_ignored(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    leave_ranges(server, destination)
    os.truncate(partial_of(destination), 5_000)
    fetch(server.url, destination)
    assert_only_file(destination)
    assert server.header("Range")[0] == "bytes=5000-"
