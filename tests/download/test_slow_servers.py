from pathlib import Path

import pytest

from luigi_ilsvrc.download import http
from luigi_ilsvrc.download.source import DownloadError
from tests.download.helpers import BODY, Fetch, assert_only_file, partial_of
from tests.support import hostile_server as hostile
from tests.support.hostile_server import HostileServer

HEAD = b"HTTP/1.1 200 OK\r\n"


@pytest.fixture
def fetch() -> Fetch:
    return Fetch(timeout=1)


@pytest.fixture(autouse=True)
def short_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure the rate over one second, which is the time-out of these tests too."""
    monkeypatch.setattr(http, "WINDOW_SECONDS", 1.0)


def test_a_server_below_the_rate_is_asked_again(
    server: HostileServer, destination: Path, fetch: Fetch, caplog: pytest.LogCaptureFixture
) -> None:
    server.script = [hostile.trickle(1_000, 100, 0.1)]
    fetch(server.url, destination, min_rate=10_000)
    assert_only_file(destination)
    assert len(fetch.waits) == 1
    assert "min_rate (10,000 bytes a second)" in caplog.text
    start = int((server.header("Range")[1] or "")[6:-1])
    assert 0 < start < 5_000


def test_a_server_that_becomes_slow_is_asked_for_the_rest(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.trickle(200_000, 100, 0.1)] * 2
    fetch(server.url, destination, min_rate=10_000)
    assert_only_file(destination)


def test_a_server_that_stays_slow_is_an_error_and_the_received_bytes_are_kept(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.trickle(1_000, 100, 0.1)] * 9
    with pytest.raises(DownloadError, match=r"min_rate .* 2 attempts in a row without 10,000 new bytes"):
        fetch(server.url, destination, min_rate=10_000, attempts=2)
    first, second = server.header("Range")
    # What the first attempt has brought, and more.
    assert first is None
    assert 0 < int((second or "")[6:-1]) < partial_of(destination).stat().st_size


def test_a_server_above_the_rate_is_waited_for(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    server.script = [hostile.trickle(0, 20_000, 0.1)]
    fetch(server.url, destination, min_rate=10_000)
    assert_only_file(destination)
    assert len(server.requests) == 1


def test_without_a_rate_a_slow_server_is_waited_for(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    server.script = [hostile.trickle(len(BODY) - 1_500, 100, 0.1)]
    fetch(server.url, destination, min_rate=0)
    assert_only_file(destination)
    assert len(server.requests) == 1


def test_a_slow_disk_is_not_a_slow_server(
    server: HostileServer, destination: Path, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    import time

    monkeypatch.setattr(http, "CHUNK", 100_000)
    fetch(
        server.url,
        destination,
        min_rate=10**6,
        progress=lambda *_: time.sleep(0.5),
    )
    assert_only_file(destination)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "head",
    [
        hostile.raw(*[b"H"] * 50, seconds=0.1),
        hostile.raw(HEAD, *[b"X: y\r\n"] * 50, seconds=0.1),
        hostile.raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[b"1"] * 50, seconds=0.1),
    ],
    ids=["status", "headers", "length of a chunk"],
)
def test_a_head_that_trickles_in_is_an_error_too(
    head: hostile.Behaviour, server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [head]
    fetch(server.url, destination, min_rate=10_000)
    assert_only_file(destination)
    assert len(fetch.waits) == 1


def test_one_slow_connection_of_several_is_replaced(server: HostileServer, destination: Path) -> None:
    from luigi_ilsvrc.download import segments

    server.accept_ranges = "bytes"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "MIN_SEGMENT", 10_000)
        patch.setattr(segments, "MIN_BYTES_PER_CONNECTION", 20_000)
        server.script = [hostile.trickle(10_000, 100, 0.1)]
        fetch = Fetch(connections=3, timeout=1)
        fetch(server.url, destination, min_rate=10_000)
    assert_only_file(destination)
