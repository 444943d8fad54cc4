import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from luigi_ilsvrc import connections, download, partial_file
from luigi_ilsvrc.download import ChecksumError, Credentials, DownloadError
from tests import hostile_server as hostile
from tests.hostile_server import HostileServer
from tests.reliability.disks import largest_file
from tests.test_download import (
    ACCOUNT,
    BODY,
    NAME,
    assert_only_the_file_is_there,
    beside,
    bytes_of,
    md5_of,
    partial_of,
    wait_until,
)

# Some hundred thousand bytes are enough for several connections.
SIZES = {"SMALLEST": 10_000, "LARGEST": 60_000, "WORTH_A_CONNECTION": 20_000}


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name, size in SIZES.items():
        monkeypatch.setattr(connections, name, size)
    monkeypatch.setattr(partial_file, "RECORD_EVERY", 10_000)


def begin(handler: hostile.Handler) -> None:
    """Send the first bytes, and the rest when two more connections have asked."""
    _, rest = handler.rest()
    handler.wfile.write(rest[:1000])
    wait_until(lambda: len(handler.server.requests) >= 3)
    handler.wfile.write(rest[1000:])


@pytest.fixture
def server() -> Iterator[HostileServer]:
    with hostile.running(BODY) as server:
        server.accept_ranges = "bytes"
        server.script = [begin]
        yield server


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    directory = tmp_path / "dataset"
    directory.mkdir()
    return directory / "training_images.tar"


def leave_a_partial(server: HostileServer, destination: Path, size: int = 100_000) -> None:
    """Leave what one connection leaves: bytes from the start on, and no list of ranges."""
    server.script = [hostile.close_at(size)]
    with pytest.raises(DownloadError):
        Fetch()(server, destination, connections=1, attempts=1)
    assert partial_of(destination).stat().st_size == size
    assert ranges_of(destination) == []
    server.requests.clear()


class Fetch:
    """A download with short time-outs that notes how long it would have slept, and what progress told to whom."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.told: list[tuple[str, int, int | None]] = []
        self.listeners: set[threading.Thread] = set()

    def hear(self, stage: str, done: int, total: int | None) -> None:
        self.told.append((stage, done, total))
        self.listeners.add(threading.current_thread())

    def __call__(
        self,
        server: HostileServer,
        destination: Path,
        connections: int = 3,
        md5: str | None = md5_of(BODY),
        credentials: Credentials | None = None,
        attempts: int = 3,
        timeout: float = 1,
    ) -> None:
        download.download(
            server.url,
            NAME,
            destination,
            md5=md5,
            credentials=credentials,
            connections=connections,
            attempts=attempts,
            timeout=timeout,
            sleep=self.waits.append,
            progress=self.hear,
        )


@pytest.fixture
def fetch() -> Fetch:
    return Fetch()


def record_of(destination: Path) -> dict[str, object]:
    record = partial_of(destination).with_name(destination.name + ".partial.json")
    try:
        content = json.loads(record.read_bytes())
    except FileNotFoundError:
        return {}
    assert isinstance(content, dict)
    return content


def ranges_of(destination: Path) -> list[list[int]]:
    ranges = record_of(destination).get("ranges", [])
    assert isinstance(ranges, list)
    return ranges


def held(destination: Path) -> int:
    return sum(end - start for start, end in ranges_of(destination))


def stall_each(server: HostileServer, count: int, number: int = 3) -> None:
    server.script = [hostile.stall_at(count)] * number


def leave_ranges(server: HostileServer, destination: Path, each: int = 10_000) -> None:
    """Let a process be killed when each of three connections has brought `each` bytes of its segment."""
    stall_each(server, each)
    script = (
        "import sys; from pathlib import Path; from luigi_ilsvrc import connections, download;"
        f"vars(connections).update({SIZES});"
        "download.download(*sys.argv[1:3], Path(sys.argv[3]), md5=sys.argv[4], connections=3)"
    )
    arguments = [sys.executable, "-c", script, server.url, NAME, str(destination), md5_of(BODY)]
    with subprocess.Popen(arguments, cwd=Path(__file__).parent.parent) as process:
        try:
            wait_until(lambda: held(destination) == 3 * each)
        finally:
            process.send_signal(signal.SIGKILL)
    server.requests.clear()


# A server that behaves


def test_several_connections_at_once_bring_the_same_file(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    fetch(server, destination)
    assert_only_the_file_is_there(destination)
    assert len(server.requests) >= 3
    assert fetch.waits == []


def test_each_part_is_asked_for_on_condition_that_the_file_is_the_same(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    fetch(server, destination)
    assert server.header("If-Range") == [None] + ['"first"'] * (len(server.requests) - 1)


def test_no_part_is_asked_for_twice(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    fetch(server, destination)
    parts = [str(value) for value in server.header("Range")[1:]]
    assert len(parts) == len(set(parts))
    assert sum(server.sent[1:]) < len(BODY)


def test_progress_is_told_to_one_thread_and_never_goes_back(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    fetch(server, destination)
    assert fetch.listeners == {threading.current_thread()}
    assert {(stage, total) for stage, _, total in fetch.told} == {("downloading", len(BODY))}
    assert [done for _, done, _ in fetch.told] == sorted(done for _, done, _ in fetch.told)
    assert fetch.told[-1][1] == len(BODY)


def test_without_an_md5_several_connections_bring_the_file_too(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    fetch(server, destination, md5=None)
    assert_only_the_file_is_there(destination)


def test_connections_wait_for_an_md5_that_is_far_behind(
    server: HostileServer, destination: Path, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "AHEAD", 20_000)
    monkeypatch.setattr(partial_file, "HASHED_AT_ONCE", 1_000)
    fetch(server, destination)
    assert_only_the_file_is_there(destination)


def test_all_threads_have_ended_when_the_file_is_there(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    before = ours()
    fetch(server, destination)
    assert ours() == before


def ours() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if type(thread).__module__.startswith("luigi_ilsvrc")}


# One connection


def test_a_server_without_ranges_gets_one_connection(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    server.accept_ranges = None
    server.script = [hostile.ignore_range]
    fetch(server, destination)
    assert_only_the_file_is_there(destination)
    assert server.header("Range") == [None]


def test_a_server_that_says_it_has_no_ranges_gets_one_connection(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.accept_ranges = "none"
    server.script = []
    fetch(server, destination)
    assert server.header("Range") == [None]


def test_a_file_of_untold_length_gets_one_connection(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    server.script = [hostile.chunked]
    fetch(server, destination)
    assert_only_the_file_is_there(destination)
    assert server.header("Range") == [None]


def test_one_connection_may_be_asked_for(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    server.script = []
    fetch(server, destination, connections=1)
    assert_only_the_file_is_there(destination)
    assert server.header("Range") == [None]


def test_a_small_remainder_gets_one_connection(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    leave_a_partial(server, destination, 280_000)
    fetch(server, destination)
    assert_only_the_file_is_there(destination)
    assert server.header("Range") == ["bytes=280000-"]


def test_a_server_that_only_claims_to_have_ranges_gives_the_file(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.ignore_range] * 99
    fetch(server, destination)
    assert_only_the_file_is_there(destination)


# Links that break


@pytest.mark.parametrize(
    "trouble",
    [hostile.close_at(5_000), hostile.reset_at(5_000), hostile.stall_at(5_000), hostile.close_at(0)],
    ids=["closed early", "reset", "stalled", "closed at once"],
)
def test_a_connection_that_dies_is_made_up_for_by_the_others(
    trouble: hostile.Behaviour, server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [begin, trouble]
    fetch(server, destination)
    assert_only_the_file_is_there(destination)
    assert fetch.waits == []


def test_when_all_connections_die_the_download_waits_and_goes_on(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.close_at(10_000)] * 9
    fetch(server, destination, attempts=2)
    assert_only_the_file_is_there(destination)
    assert fetch.waits != []


def test_a_server_that_dies_for_good_is_an_error_and_what_came_is_kept(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.close_at(10_000)] * 3 + [hostile.answer(503)] * 99
    with pytest.raises(DownloadError, match="Gave up after 3 .* The 30,000 bytes that came are kept"):
        fetch(server, destination)
    assert held(destination) == 30_000


def test_replies_shorter_than_asked_for_are_put_together(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    leave_a_partial(server, destination, 1_000)

    def cut_short(handler: hostile.Handler) -> None:
        start = int((handler.headers["Range"] or "bytes=0-")[6:].partition("-")[0])
        part = BODY[start : start + 7_000]
        content_range = f"bytes {start}-{start + len(part) - 1}/{len(BODY)}"
        handler.head(206, Content_Length=len(part), Content_Range=content_range)
        handler.wfile.write(part)

    server.script = [cut_short] * 5
    fetch(server, destination)
    assert_only_the_file_is_there(destination)


# Servers that are busy


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("retry_after", [None, 200])
def test_a_server_that_refuses_further_connections_gets_fewer(
    status: int, retry_after: int | None, server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    refuse = hostile.answer(status, Retry_After=retry_after)
    server.script = [begin, refuse, refuse]
    fetch(server, destination)
    assert_only_the_file_is_there(destination)
    assert fetch.waits == []


# Servers that send something else


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
    fetch(server, destination)
    assert_only_the_file_is_there(destination)


def test_a_part_of_another_version_means_starting_over(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    def other_etag(handler: hostile.Handler) -> None:
        server.etag = '"second"'
        handler.rest()
        handler.close_connection = True

    server.script = [hostile.stall_at(10_000), other_etag]
    fetch(server, destination)
    assert_only_the_file_is_there(destination)
    assert len(fetch.waits) == 1


def test_a_changed_etag_of_one_part_is_noticed_where_the_server_ignores_if_range(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    def other_etag(handler: hostile.Handler) -> None:
        start, _, last = (handler.headers["Range"] or "")[6:].partition("-")
        part = BODY[int(start) : int(last) + 1][::-1]
        content_range = f"bytes {start}-{last}/{len(BODY)}"
        handler.head(206, Content_Length=len(part), Content_Range=content_range, ETag='"second"')
        handler.wfile.write(part)

    server.script = [begin, other_etag]
    fetch(server, destination)
    assert_only_the_file_is_there(destination)
    assert len(fetch.waits) == 1


def test_a_login_page_in_place_of_a_part_is_an_error_and_what_came_is_kept(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    def page_after_a_while(handler: hostile.Handler) -> None:
        wait_until(lambda: bytes_of(partial_of(destination)) == 10_000)
        hostile.page("text/html")(handler)

    server.script = [hostile.stall_at(10_000), page_after_a_while, page_after_a_while]
    with pytest.raises(DownloadError, match="login page"):
        fetch(server, destination)
    assert ranges_of(destination) == [[0, 10_000]]


def test_a_byte_that_flips_in_one_part_never_becomes_the_file(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    def flip(handler: hostile.Handler) -> None:
        _, rest = handler.rest()
        handler.wfile.write(rest[:500] + bytes([rest[500] ^ 1]) + rest[501:])

    server.script = [begin, flip]
    with pytest.raises(ChecksumError, match=md5_of(BODY)):
        fetch(server, destination)
    assert beside(destination) == []


def test_a_file_that_cannot_fit_is_refused_before_the_second_connection(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.answer(200, BODY, Content_Length=10**18)]
    with pytest.raises(DownloadError, match=r"1,000,000,000,000,000,000 bytes are still needed"):
        fetch(server, destination)
    assert len(server.requests) == 1
    assert beside(destination) == []


def test_a_write_that_fails_ends_all_connections_and_keeps_what_came(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    with (
        largest_file(70_000),
        pytest.raises(DownloadError, match=r"File too large\): [\d,]+ bytes are still needed"),
    ):
        fetch(server, destination)
    kept = held(destination)
    assert 0 < kept <= 70_000
    fetch(server, destination)
    assert_only_the_file_is_there(destination)


# Accounts


def test_each_connection_shows_the_account_once_the_server_has_asked(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.ask_for_basic(ACCOUNT.username, ACCOUNT.access_key)] * 99
    fetch(server, destination, credentials=ACCOUNT)
    assert_only_the_file_is_there(destination)
    assert [value is None for value in server.header("Authorization")].count(True) == 1


def test_each_connection_may_be_asked_for_a_digest(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    server.script = [hostile.ask_for_digest(ACCOUNT.username, ACCOUNT.access_key)] * 99
    fetch(server, destination, credentials=ACCOUNT)
    assert_only_the_file_is_there(destination)


def test_no_connection_shows_the_account_to_another_host(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    with hostile.running(BODY) as other:
        other.accept_ranges = "bytes"
        other.script = [begin]
        to_the_other = hostile.redirect(f"{other.same_server_by_another_name}/mirror")
        server.script = [hostile.ask_for_basic(ACCOUNT.username, ACCOUNT.access_key, then=to_the_other)] * 99
        fetch(server, destination, credentials=ACCOUNT)
        assert len(other.requests) >= 3
        assert set(other.header("Authorization")) == {None}
    assert_only_the_file_is_there(destination)


# The next run


def test_after_a_kill_only_what_is_missing_is_fetched(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    leave_ranges(server, destination)
    assert len(ranges_of(destination)) == 3
    fetch(server, destination)
    assert_only_the_file_is_there(destination)
    assert sum(server.sent) == len(BODY) - 30_000
    assert server.header("If-Range") == ['"first"'] * len(server.requests)


def test_one_connection_goes_on_with_what_several_have_left(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    leave_ranges(server, destination)
    fetch(server, destination, connections=1)
    assert_only_the_file_is_there(destination)
    assert sum(server.sent) == len(BODY) - 30_000


def test_several_connections_go_on_with_what_one_has_left(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    leave_a_partial(server, destination)
    server.script = [begin]
    fetch(server, destination)
    assert_only_the_file_is_there(destination)
    assert server.header("Range")[0] == "bytes=100000-"
    assert len(server.requests) >= 3
    assert ("checking", 100_000, 100_000) in fetch.told


def test_ranges_of_a_file_that_has_changed_are_given_up(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    leave_ranges(server, destination)
    server.body, server.etag = BODY[:512] + BODY[:511:-1], '"second"'
    fetch(server, destination, md5=md5_of(server.body))
    assert_only_the_file_is_there(destination, server.body)


def test_ranges_are_given_up_where_the_server_does_not_send_ranges_any_more(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    leave_ranges(server, destination)
    server.accept_ranges = None
    server.script = [hostile.ignore_range]
    fetch(server, destination)
    assert_only_the_file_is_there(destination)
    assert len(server.requests) == 1


@pytest.mark.parametrize("ranges", ["x", [1], [["a", "b"]], [[0]], {"a": 1}, None])
def test_a_list_of_ranges_that_is_damaged_does_no_harm(
    ranges: object, server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    leave_a_partial(server, destination)
    record = destination.with_name(destination.name + ".partial.json")
    record.write_text(json.dumps({**record_of(destination), "ranges": ranges}))
    fetch(server, destination)
    assert_only_the_file_is_there(destination)


def test_a_list_that_promises_more_than_the_file_holds_is_not_believed(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    leave_ranges(server, destination)
    os.truncate(partial_of(destination), 5_000)
    fetch(server, destination)
    assert_only_the_file_is_there(destination)
    assert server.header("Range")[0] == "bytes=5000-"


# Interrupts


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_ends_all_connections_and_keeps_what_came(
    interrupt: type[BaseException], server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    stall_each(server, 10_000)

    def progress(stage: str, done: int, total: int | None) -> None:
        if done == 30_000:
            raise interrupt

    with pytest.raises(interrupt):
        download.download(server.url, NAME, destination, md5=md5_of(BODY), connections=3, timeout=60, progress=progress)
    assert ours() == set()
    assert held(destination) == 30_000
    server.script = []
    fetch(server, destination)
    assert_only_the_file_is_there(destination)


def test_a_signal_that_comes_while_all_connections_are_silent_ends_them(
    server: HostileServer, destination: Path
) -> None:
    stall_each(server, 10_000)

    def signal_when_all_is_silent() -> None:
        wait_until(lambda: held(destination) == 30_000 or bytes_of(partial_of(destination)) > 100_000)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=signal_when_all_is_silent).start()
    with pytest.raises(KeyboardInterrupt):
        download.download(server.url, NAME, destination, md5=md5_of(BODY), connections=3, timeout=60)
    assert ours() == set()
