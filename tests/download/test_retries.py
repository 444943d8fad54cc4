import re
import time
from email.utils import formatdate
from pathlib import Path

import pytest

from luigi_ilsvrc.download.source import DownloadError
from luigi_ilsvrc.download.transfer import MAX_BACKOFF
from tests.download.helpers import BODY, Fetch, assert_only_file, beside, partial_of
from tests.support import hostile_server as hostile
from tests.support.hostile_server import HostileServer


def test_a_refused_connection_is_an_error_with_the_url(destination: Path, fetch: Fetch) -> None:
    with hostile.running(BODY) as server:
        url = server.url
    with pytest.raises(DownloadError, match=f"{re.escape(url)}/images.tar: Connection refused.* 3 attempts"):
        fetch(url, destination)
    assert beside(destination) == []


def test_an_unknown_host_is_an_error(destination: Path, fetch: Fetch) -> None:
    with pytest.raises(DownloadError, match="http://nowhere.invalid/images.tar"):
        fetch("http://nowhere.invalid", destination, attempts=1)


def test_a_download_continues_after_many_failures_if_each_attempt_brings_new_bytes(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.close_at(20_000)] * 10
    fetch(server.url, destination, attempts=2)
    assert_only_file(destination)
    assert len(server.requests) == 11


def test_attempts_without_a_new_byte_are_limited(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    server.script = [hostile.close_at(20_000)] + [hostile.close_at(0)] * 9
    with pytest.raises(DownloadError, match=r" 3 attempts.* 20,000 bytes"):
        fetch(server.url, destination)
    assert len(server.requests) == 3
    assert partial_of(destination).stat().st_size == 20_000


def test_starting_over_and_failing_at_the_same_offset_or_earlier_is_no_progress(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.ignore_range_and_close_at(150_000), hostile.ignore_range_and_close_at(100_000)] * 9
    with pytest.raises(DownloadError, match=" 3 attempts"):
        fetch(server.url, destination)


def test_a_slow_server_is_waited_for(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    server.script = [hostile.drip]
    fetch(server.url, destination)
    assert_only_file(destination)
    assert fetch.waits == []


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again_after_longer_and_longer_delays(
    status: int, server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.answer(status), hostile.answer(status)]
    fetch(server.url, destination)
    assert_only_file(destination)
    assert 1 <= fetch.waits[0] <= 2 <= fetch.waits[1] <= 4


def test_a_server_that_stays_busy_is_an_error_with_its_status(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.answer(503)] * 3
    with pytest.raises(DownloadError, match="images.tar: 503 Service Unavailable.* 3 attempts"):
        fetch(server.url, destination)
    assert beside(destination) == []


def test_retry_after_in_seconds_is_honoured(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    server.script = [hostile.answer(503, Retry_After=7)]
    fetch(server.url, destination)
    assert fetch.waits == [7]


def test_retry_after_as_a_date_is_honoured(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    server.script = [hostile.answer(429, Retry_After=formatdate(time.time() + 60, usegmt=True))]
    fetch(server.url, destination)
    assert 50 < fetch.waits[0] <= 60


@pytest.mark.parametrize("value", ["86400", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_retry_after_has_a_maximum(value: str, server: HostileServer, destination: Path, fetch: Fetch) -> None:
    server.script = [hostile.answer(503, Retry_After=value)]
    fetch(server.url, destination)
    assert fetch.waits == [MAX_BACKOFF]


@pytest.mark.parametrize("value", ["soon", "-5", formatdate(0, usegmt=True)])
def test_an_invalid_or_past_retry_after_is_ignored(
    value: str, server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.answer(503, Retry_After=value)]
    fetch(server.url, destination)
    assert 0 <= fetch.waits[0] <= 2


def test_each_retry_is_logged(
    server: HostileServer, destination: Path, fetch: Fetch, caplog: pytest.LogCaptureFixture
) -> None:
    server.script = [hostile.answer(503)]
    fetch(server.url, destination)
    assert re.search("images.tar: 503 Service Unavailable.* 2 of 3 ", caplog.text)
