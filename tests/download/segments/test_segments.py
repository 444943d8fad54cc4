import os
import signal
import threading
from pathlib import Path

import pytest

from luigi_ilsvrc.download import partial_file, segments
from luigi_ilsvrc.download.download import download
from luigi_ilsvrc.progress import BYTES
from tests.download.helpers import (
    ACCOUNT,
    BODY,
    NAME,
    Fetch,
    assert_only_file,
    bytes_of,
    leave_partial,
    md5_of,
    partial_of,
    wait_until,
)
from tests.download.segments.helpers import begin, bytes_recorded
from tests.support import hostile_server as hostile
from tests.support.hostile_server import HostileServer


def test_several_connections_download_the_same_file(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    fetch(server.url, destination)
    assert_only_file(destination)
    assert len(server.requests) >= 3
    assert fetch.waits == []


def test_each_request_has_the_condition_that_the_file_is_unchanged(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    fetch(server.url, destination, md5=None)
    assert server.header("If-Range") == [None] + ['"first"'] * (len(server.requests) - 1)


def test_no_part_is_requested_twice(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    fetch(server.url, destination)
    parts = [str(value) for value in server.header("Range")[1:]]
    assert len(parts) == len(set(parts))
    assert sum(server.sent[1:]) < len(BODY)


def test_progress_is_called_from_one_thread_and_never_decreases(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    fetch(server.url, destination)
    assert fetch.callers == {threading.current_thread()}
    assert {(stage, total, unit) for stage, _, total, unit in fetch.calls} == {("downloading", len(BODY), BYTES)}
    assert [call[1] for call in fetch.calls] == sorted(call[1] for call in fetch.calls)
    assert fetch.calls[-1][1] == len(BODY)


def test_several_connections_work_without_an_md5(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    fetch(server.url, destination, md5=None)
    assert_only_file(destination)


def test_connections_wait_for_a_slow_md5(
    server: HostileServer, destination: Path, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "MAX_UNHASHED_BYTES", 20_000)
    monkeypatch.setattr(partial_file, "HASH_CHUNK", 1_000)
    fetch(server.url, destination)
    assert_only_file(destination)


def test_all_threads_have_ended_when_the_file_is_complete(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    before = our_threads()
    fetch(server.url, destination)
    assert our_threads() == before


def our_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if type(thread).__module__.startswith("luigi_ilsvrc")}


def test_a_server_without_ranges_gets_one_connection(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    server.accept_ranges = None
    server.script = [hostile.ignore_range]
    fetch(server.url, destination)
    assert_only_file(destination)
    assert server.header("Range") == [None]


def test_a_server_that_says_it_has_no_ranges_gets_one_connection(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.accept_ranges = "none"
    server.script = []
    fetch(server.url, destination)
    assert server.header("Range") == [None]


def test_a_file_of_unknown_length_gets_one_connection(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    server.script = [hostile.chunked]
    fetch(server.url, destination)
    assert_only_file(destination)
    assert server.header("Range") == [None]


def test_one_connection_can_be_chosen(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    server.script = []
    fetch(server.url, destination, connections=1)
    assert_only_file(destination)
    assert server.header("Range") == [None]


def test_a_small_remainder_gets_one_connection(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    leave_partial(server, destination, 280_000)
    fetch(server.url, destination)
    assert_only_file(destination)
    assert server.header("Range") == ["bytes=280000-"]


def test_a_server_that_announces_ranges_and_ignores_them_gives_the_file(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.ignore_range] * 99
    fetch(server.url, destination)
    assert_only_file(destination)


def test_each_connection_sends_the_account_after_the_server_has_asked_once(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.ask_for_basic(ACCOUNT.username, ACCOUNT.access_key)] * 99
    fetch(server.url, destination, credentials=ACCOUNT)
    assert_only_file(destination)
    assert [value is None for value in server.header("Authorization")].count(True) == 1


def test_each_connection_may_be_asked_for_a_digest(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    server.script = [hostile.ask_for_digest(ACCOUNT.username, ACCOUNT.access_key)] * 99
    fetch(server.url, destination, credentials=ACCOUNT)
    assert_only_file(destination)


def test_no_connection_sends_the_account_to_another_host(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    with hostile.running(BODY) as other:
        other.accept_ranges = "bytes"
        other.script = [begin]
        to_the_other = hostile.redirect(f"{other.url_by_another_name}/mirror")
        server.script = [hostile.ask_for_basic(ACCOUNT.username, ACCOUNT.access_key, then=to_the_other)] * 99
        fetch(server.url, destination, credentials=ACCOUNT)
        assert len(other.requests) >= 3
        assert set(other.header("Authorization")) == {None}
    assert_only_file(destination)


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_stops_all_connections_and_keeps_the_received_bytes(
    interrupt: type[BaseException], server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.stall_at(10_000)] * 3

    def progress(stage: str, done: int, total: int | None, unit: str) -> None:
        if done == 30_000:
            raise interrupt

    with pytest.raises(interrupt):
        download(server.url, NAME, destination, md5=md5_of(BODY), connections=3, timeout=60, progress=progress)
    assert our_threads() == set()
    assert bytes_recorded(destination) == 30_000
    server.script = []
    fetch(server.url, destination)
    assert_only_file(destination)


def test_a_signal_while_no_connection_receives_anything_stops_them(server: HostileServer, destination: Path) -> None:
    server.script = [hostile.stall_at(10_000)] * 3

    def signal_when_nothing_is_received() -> None:
        wait_until(lambda: bytes_recorded(destination) == 30_000 or bytes_of(partial_of(destination)) > 100_000)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=signal_when_nothing_is_received).start()
    with pytest.raises(KeyboardInterrupt):
        download(server.url, NAME, destination, md5=md5_of(BODY), connections=3, timeout=60)
    assert our_threads() == set()
