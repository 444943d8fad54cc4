import gzip
import hashlib
import io
import json
import logging
import os
import random
import re
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from luigi_ilsvrc import archives, download
from luigi_ilsvrc.download import ChecksumError, Credentials, DownloadError, find_credentials, read_checksums
from tests import hostile_server as hostile
from tests.hostile_server import HostileServer
from tests.reliability.disks import largest_file

NAME = "images.tar"
ACCOUNT = Credentials("ada", "s3cret-key")


def tar_of(*sizes: int) -> bytes:
    randomness = random.Random(0)
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for number, size in enumerate(sizes):
            member = tarfile.TarInfo(f"{number}.JPEG")
            member.size = size
            tar.addfile(member, io.BytesIO(randomness.randbytes(size)))
    return archive.getvalue()


BODY = tar_of(100_000, 150_000, 50_000)


def md5_of(data: bytes | bytearray) -> str:
    return hashlib.md5(data).hexdigest()


@pytest.fixture(autouse=True)
def no_netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


@pytest.fixture
def server() -> Iterator[HostileServer]:
    with hostile.running(BODY) as server:
        yield server


@pytest.fixture
def other_server() -> Iterator[HostileServer]:
    with hostile.running(BODY) as server:
        yield server


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    directory = tmp_path / "dataset"
    directory.mkdir()
    return directory / "training_images.tar"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / NAME).write_bytes(BODY)
    return folder


class Fetch:
    """A download with short time-outs that notes how long it would have slept, and all that progress told."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.told: list[tuple[str, int, int | None]] = []

    def __call__(
        self,
        source: str | Path,
        destination: Path,
        name: str = NAME,
        md5: str | None = md5_of(BODY),
        credentials: Credentials | None = None,
        attempts: int = 3,
        progress: Callable[[str, int, int | None], None] | None = None,
    ) -> None:
        download.download(
            str(source),
            name,
            destination,
            md5=md5,
            credentials=credentials,
            attempts=attempts,
            timeout=1,
            sleep=self.waits.append,
            progress=progress or (lambda *told: self.told.append(told)),
        )


@pytest.fixture
def fetch() -> Fetch:
    return Fetch()


def beside(destination: Path) -> list[str]:
    return sorted(path.name for path in destination.parent.iterdir())


def assert_only_the_file_is_there(destination: Path, body: bytes = BODY) -> None:
    assert destination.read_bytes() == body
    assert beside(destination) == [destination.name]


def partial_of(destination: Path) -> Path:
    return destination.with_name(destination.name + ".partial")


def leave_a_partial(server: HostileServer, destination: Path, size: int = 100_000) -> None:
    server.script = [hostile.close_at(size)]
    with pytest.raises(DownloadError):
        Fetch()(server.url, destination, attempts=1)
    assert partial_of(destination).stat().st_size == size
    server.requests.clear()


def in_another_process(source: str | Path, destination: Path) -> subprocess.Popen[bytes]:
    script = (
        "import sys; from pathlib import Path; from luigi_ilsvrc.download import download;"
        "download(sys.argv[1], sys.argv[2], Path(sys.argv[3]), md5=sys.argv[4])"
    )
    arguments = [sys.executable, "-c", script, str(source), NAME, str(destination), md5_of(BODY)]
    return subprocess.Popen(arguments, cwd=Path(__file__).parent.parent)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def bytes_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


# A server that behaves


def test_a_file_is_downloaded_whole(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    fetch(server.url, destination)
    assert_only_the_file_is_there(destination)
    assert [request.path for request in server.requests] == ["/data/images.tar"]


def test_a_file_that_is_there_is_not_asked_for_again(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    destination.write_bytes(b"already here")
    fetch(server.url, destination)
    assert destination.read_bytes() == b"already here"
    assert server.requests == []


def test_progress_tells_bytes_of_bytes(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    fetch(server.url, destination)
    assert {(stage, total) for stage, _, total in fetch.told} == {("downloading", len(BODY))}
    assert [done for _, done, _ in fetch.told] == sorted(done for _, done, _ in fetch.told)
    assert fetch.told[-1][1] == len(BODY)


def test_a_trailing_slash_of_the_source_is_not_doubled(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    fetch(server.url + "/", destination)
    assert server.requests[0].path == "/data/images.tar"


def test_a_query_string_stays_at_the_end(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    fetch(server.url + "/?sig=a%2Fb%3D&v=1", destination)
    assert server.requests[0].path == "/data/images.tar?sig=a%2Fb%3D&v=1"


def test_without_an_md5_the_length_decides(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    server.script = [hostile.close_at(1000), hostile.flip_a_byte]
    fetch(server.url, destination, md5=None)
    assert destination.stat().st_size == len(BODY)


def test_an_md5_may_be_written_in_capitals(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    fetch(server.url, destination, md5=md5_of(BODY).upper())
    assert_only_the_file_is_there(destination)


def test_pythons_own_server_without_ranges_is_a_source(folder: Path, destination: Path, fetch: Fetch) -> None:
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout
            port = re.search(r"port (\d+)", process.stdout.readline())
            assert port
            partial_of(destination).write_bytes(BODY[:1000])
            fetch(f"http://127.0.0.1:{port[1]}", destination)
        finally:
            process.terminate()
    assert_only_the_file_is_there(destination)


# Links that break


def test_a_refused_connection_is_an_error_with_the_url(destination: Path, fetch: Fetch) -> None:
    with hostile.running(BODY) as server:
        url = server.url
    with pytest.raises(DownloadError, match=f"{re.escape(url)}/images.tar: Connection refused. Gave up after 3"):
        fetch(url, destination)
    assert beside(destination) == []


def test_an_unknown_host_is_an_error(destination: Path, fetch: Fetch) -> None:
    with pytest.raises(DownloadError, match="http://nowhere.invalid/images.tar"):
        fetch("http://nowhere.invalid", destination, attempts=1)


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        (hostile.close_at(100_000), "IncompleteRead"),
        (hostile.reset_at(100_000), "Connection reset by peer"),
        (hostile.stall_at(100_000), "timed out"),
    ],
    ids=["closed early", "reset", "stalled"],
)
def test_a_body_cut_off_is_resumed_where_it_broke(
    trouble: hostile.Behaviour,
    reason: str,
    server: HostileServer,
    destination: Path,
    fetch: Fetch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server.script = [trouble]
    fetch(server.url, destination)
    assert_only_the_file_is_there(destination)
    assert server.header("Range") == [None, "bytes=100000-"]
    assert server.header("If-Range") == [None, '"first"']
    assert reason in caplog.text


def test_the_next_run_resumes_where_the_last_one_gave_up(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    leave_a_partial(server, destination)
    fetch(server.url, destination)
    assert_only_the_file_is_there(destination)
    assert server.header("Range") == ["bytes=100000-"]
    assert ("checking", 100_000, 100_000) in fetch.told


def test_the_next_run_resumes_where_a_killed_one_was(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    server.script = [hostile.stall_at(100_000)]
    process = in_another_process(server.url, destination)
    wait_until(lambda: bytes_of(partial_of(destination)) == 100_000)
    process.kill()
    process.wait()
    fetch(server.url, destination)
    assert_only_the_file_is_there(destination)
    assert server.header("Range") == [None, "bytes=100000-"]


def test_many_drops_are_no_end_as_long_as_bytes_come(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    server.script = [hostile.close_at(20_000)] * 10
    fetch(server.url, destination, attempts=2)
    assert_only_the_file_is_there(destination)
    assert len(server.requests) == 11


def test_drops_that_gain_nothing_are_the_end(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    server.script = [hostile.close_at(20_000)] + [hostile.close_at(0)] * 9
    with pytest.raises(DownloadError, match=r"Gave up after 3 attempts .* The 20,000 bytes that came are kept"):
        fetch(server.url, destination)
    assert len(server.requests) == 3
    assert partial_of(destination).stat().st_size == 20_000


def test_starting_over_only_to_die_earlier_or_at_the_same_place_is_no_progress(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.ignore_range_and_close_at(150_000), hostile.ignore_range_and_close_at(100_000)] * 9
    with pytest.raises(DownloadError, match="Gave up after 3"):
        fetch(server.url, destination)


def test_a_slow_drip_is_waited_for(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    server.script = [hostile.drip]
    fetch(server.url, destination)
    assert_only_the_file_is_there(destination)
    assert fetch.waits == []


# Servers that are busy


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again(status: int, server: HostileServer, destination: Path, fetch: Fetch) -> None:
    server.script = [hostile.answer(status), hostile.answer(status)]
    fetch(server.url, destination)
    assert_only_the_file_is_there(destination)
    assert 1 <= fetch.waits[0] <= 2 <= fetch.waits[1] <= 4


def test_a_server_that_stays_busy_is_an_error_with_its_status(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.answer(503)] * 3
    with pytest.raises(DownloadError, match="images.tar: 503 Service Unavailable. Gave up after 3 attempts"):
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
def test_retry_after_has_a_ceiling(value: str, server: HostileServer, destination: Path, fetch: Fetch) -> None:
    server.script = [hostile.answer(503, Retry_After=value)]
    fetch(server.url, destination)
    assert fetch.waits == [download.LONGEST_WAIT]


@pytest.mark.parametrize("value", ["soon", "-5", formatdate(0, usegmt=True)])
def test_a_retry_after_of_no_use_does_no_harm(
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
    assert "images.tar: 503 Service Unavailable; attempt 2 of 3 in" in caplog.text


# Servers that send something else


def test_a_missing_file_is_an_error_at_once(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    server.script = [hostile.answer(404)]
    with pytest.raises(DownloadError, match=r"/data/images.tar answered 404 .*check --source"):
        fetch(server.url, destination)
    assert len(server.requests) == 1
    assert beside(destination) == []


@pytest.mark.parametrize("content_type", ["text/html; charset=utf-8", "application/x-tar", "application/octet-stream"])
@pytest.mark.parametrize("name", [NAME, "boxes.tar.gz"])
def test_a_login_page_is_recognised_whatever_it_calls_itself(
    content_type: str, name: str, server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.page(content_type)]
    with pytest.raises(DownloadError, match="in place of") as caught:
        fetch(server.url, destination, name=name, md5=None)
    assert f"{server.url}/{name}" in str(caught.value)
    assert content_type in str(caught.value)
    assert "IMAGENET_USERNAME" in str(caught.value)
    assert archives.SIGN_UP in str(caught.value)
    assert beside(destination) == []


def test_a_page_that_trickles_in_is_recognised(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    server.script = [hostile.drip_page]
    with pytest.raises(DownloadError, match="in place of"):
        fetch(server.url, destination, md5=None)
    assert beside(destination) == []


def test_a_login_page_behind_a_redirect_is_named_by_its_own_url(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.redirect("/login"), hostile.page("text/html")]
    with pytest.raises(DownloadError, match=r"http://127.0.0.1:\d+/login answered with a page"):
        fetch(server.url, destination)


def test_a_login_page_does_not_displace_what_was_kept(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    leave_a_partial(server, destination)
    server.script = [hostile.page("text/html")]
    with pytest.raises(DownloadError, match="login page"):
        fetch(server.url, destination)
    fetch(server.url, destination)
    assert_only_the_file_is_there(destination)
    assert server.header("Range")[-1] == "bytes=100000-"


@pytest.mark.parametrize(
    "body", [b'{"error": "no"}', b"<?xml version='1.0'?><Error/>", b'\xef\xbb\xbf [{"a": 1}]', b""]
)
def test_messages_and_nothing_are_no_archives(
    body: bytes, server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.answer(200, body, Content_Type="application/x-tar")]
    with pytest.raises(DownloadError, match="in place of"):
        fetch(server.url, destination, md5=None)
    assert beside(destination) == []


def test_a_tar_gz_has_to_be_gzip(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    with pytest.raises(DownloadError, match="something that is not gzip"):
        fetch(server.url, destination, name="boxes.tar.gz", md5=None)


def test_an_archive_that_is_called_html_is_taken_for_what_it_is(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.answer(200, BODY, Content_Type="text/html")]
    fetch(server.url, destination)
    assert_only_the_file_is_there(destination)


def test_a_tar_gz_called_content_encoding_gzip_is_stored_as_it_is(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    packed = gzip.compress(BODY)
    server.script = [hostile.answer(200, packed, Content_Encoding="gzip")]
    fetch(server.url, destination, name="boxes.tar.gz", md5=md5_of(packed))
    assert_only_the_file_is_there(destination, packed)


def test_no_compression_is_asked_for_and_a_compressed_tar_is_an_error(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.answer(200, gzip.compress(BODY), Content_Encoding="gzip")]
    with pytest.raises(DownloadError, match="gzip-compressed"):
        fetch(server.url, destination, md5=None)
    assert server.header("Accept-Encoding") == ["identity"]
    assert beside(destination) == []


def test_a_flipped_byte_never_becomes_the_file(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    server.script = [hostile.flip_a_byte]
    with pytest.raises(ChecksumError) as caught:
        fetch(server.url, destination)
    wrong = bytearray(BODY)
    wrong[len(BODY) // 2] ^= 1
    assert md5_of(wrong) in str(caught.value)
    assert md5_of(BODY) in str(caught.value)
    assert server.url in str(caught.value)
    assert beside(destination) == []
    fetch(server.url, destination)
    assert_only_the_file_is_there(destination)


# Lengths and ranges


@pytest.mark.parametrize("behaviour", [hostile.chunked, hostile.until_closed])
def test_a_body_of_untold_length_is_downloaded(
    behaviour: hostile.Behaviour, server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [behaviour]
    fetch(server.url, destination)
    assert_only_the_file_is_there(destination)
    assert fetch.told[-1] == ("downloading", len(BODY), None)


def test_a_chunked_body_that_breaks_off_is_resumed(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    server.script = [hostile.break_off_chunked]
    fetch(server.url, destination)
    assert_only_the_file_is_there(destination)
    assert server.header("Range") == [None, "bytes=50000-"]


def test_a_server_that_ignores_ranges_sends_all_again(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    server.script = [hostile.close_at(100_000), hostile.ignore_range]
    fetch(server.url, destination)
    assert_only_the_file_is_there(destination)
    assert len(server.requests) == 2


def test_ranges_shorter_than_asked_for_are_put_together(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    server.script = [hostile.in_parts(70_000)] * 9
    fetch(server.url, destination)
    assert_only_the_file_is_there(destination)


@pytest.mark.parametrize(
    "wrong",
    [
        hostile.shift_range(90_000, len(BODY)),
        hostile.shift_range(100_000, len(BODY) + 1),
        hostile.answer(206, BODY[100_000:]),
    ],
    ids=["another start", "another total", "none"],
)
def test_a_wrong_content_range_means_starting_over(
    wrong: hostile.Behaviour, server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.close_at(100_000), wrong]
    fetch(server.url, destination)
    assert_only_the_file_is_there(destination)
    assert server.header("Range") == [None, "bytes=100000-", None]


def test_wrong_content_ranges_without_end_are_an_error(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    server.script = [hostile.shift_range(10, len(BODY))] * 9
    with pytest.raises(DownloadError, match="not the one that was begun"):
        fetch(server.url, destination)
    assert beside(destination) == []


def test_a_file_that_changed_between_two_runs_is_downloaded_anew(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    leave_a_partial(server, destination)
    server.body, server.etag = tar_of(300_000), '"second"'
    fetch(server.url, destination, md5=md5_of(server.body))
    assert_only_the_file_is_there(destination, server.body)
    assert server.header("If-Range") == ['"first"']


def test_a_changed_etag_is_noticed_where_the_server_ignores_if_range(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    leave_a_partial(server, destination)
    server.body, server.etag = BODY[::-1], '"second"'
    server.script = [hostile.shift_range(100_000, len(BODY))]
    fetch(server.url, destination, md5=md5_of(server.body))
    assert_only_the_file_is_there(destination, server.body)


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
    assert_only_the_file_is_there(destination)


def test_a_partial_of_all_bytes_is_verified_and_not_asked_for(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    leave_a_partial(server, destination)
    partial_of(destination).write_bytes(BODY)
    fetch(server.url, destination)
    assert_only_the_file_is_there(destination)
    assert server.requests == []


def as_if_the_length_were_unknown(destination: Path) -> None:
    record = destination.with_name(destination.name + ".partial.json")
    record.write_text(json.dumps({**json.loads(record.read_text()), "total": None}))


def test_a_416_to_a_complete_partial_means_done(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    leave_a_partial(server, destination)
    as_if_the_length_were_unknown(destination)
    partial_of(destination).write_bytes(BODY)
    fetch(server.url, destination)
    assert_only_the_file_is_there(destination)
    assert server.header("Range") == [f"bytes={len(BODY)}-"]


def test_a_416_to_an_overlong_partial_means_starting_over(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    leave_a_partial(server, destination)
    as_if_the_length_were_unknown(destination)
    partial_of(destination).write_bytes(BODY + b"more")
    fetch(server.url, destination)
    assert_only_the_file_is_there(destination)
    assert len(server.requests) == 2


def test_a_partial_longer_than_the_file_is_started_over(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    leave_a_partial(server, destination)
    partial_of(destination).write_bytes(BODY + b"more")
    fetch(server.url, destination)
    assert_only_the_file_is_there(destination)
    assert server.header("Range") == [None]


@pytest.mark.parametrize("record", [b"", b"{", b"[]", b'{"unknown": 1}'])
def test_a_partial_whose_record_is_damaged_is_started_over(
    record: bytes, server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    leave_a_partial(server, destination)
    destination.with_name(destination.name + ".partial.json").write_bytes(record)
    fetch(server.url, destination)
    assert_only_the_file_is_there(destination)
    assert server.header("Range") == [None]


def test_a_partial_of_another_source_is_started_over(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    leave_a_partial(server, destination)
    fetch(server.same_server_by_another_name, destination)
    assert_only_the_file_is_there(destination)
    assert server.header("Range") == [None]


# Accounts


def test_credentials_are_sent_only_once_asked_for_and_then_kept(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    asking = hostile.ask_for_basic(ACCOUNT.username, ACCOUNT.access_key, then=hostile.close_at(100_000))
    server.script = [asking, asking]
    fetch(server.url, destination, credentials=ACCOUNT)
    assert_only_the_file_is_there(destination)
    assert [value is not None for value in server.header("Authorization")] == [False, True, True]


def test_credentials_are_not_sent_to_a_server_that_does_not_ask(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    fetch(server.url, destination, credentials=ACCOUNT)
    assert server.header("Authorization") == [None]


def test_a_server_may_ask_for_a_digest(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    server.script = [hostile.ask_for_digest(ACCOUNT.username, ACCOUNT.access_key)] * 3
    fetch(server.url, destination, credentials=ACCOUNT)
    assert_only_the_file_is_there(destination)


def test_an_account_may_have_any_letters(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    server.script = [hostile.ask_for_basic("åda", "schlüssel☃")] * 2
    fetch(server.url, destination, credentials=Credentials("åda", "schlüssel☃"))
    assert_only_the_file_is_there(destination)


@pytest.mark.parametrize("credentials", [None, ACCOUNT])
@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_names_the_variables_and_the_terms(
    status: int, credentials: Credentials | None, server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.answer(status, WWW_Authenticate="Basic")] * 2
    with pytest.raises(DownloadError, match=f"images.tar answered {status}") as caught:
        fetch(server.url, destination, credentials=credentials)
    for expected in ("IMAGENET_USERNAME", "IMAGENET_ACCESS_KEY", archives.SIGN_UP):
        assert expected in str(caught.value)
    assert beside(destination) == []


@pytest.mark.parametrize(
    "asking", [hostile.ask_for_basic("ada", "s3cret-key"), hostile.ask_for_digest("ada", "s3cret-key")]
)
def test_another_host_behind_a_redirect_gets_no_credentials_even_if_it_asks(
    asking: hostile.Behaviour,
    server: HostileServer,
    other_server: HostileServer,
    destination: Path,
    fetch: Fetch,
    tmp_path: Path,
) -> None:
    (tmp_path / "netrc").write_text("machine localhost login ada password s3cret-key\n")
    to_the_other = hostile.redirect(f"{other_server.same_server_by_another_name}/x?sig=1")
    server.script = [hostile.ask_for_basic("ada", "s3cret-key", then=to_the_other)] * 2
    other_server.script = [asking]
    with pytest.raises(DownloadError, match=r"http://localhost:\d+/data/x answered 401"):
        fetch(server.url, destination, credentials=ACCOUNT)
    assert other_server.header("Authorization") == [None]


def test_another_hosts_question_is_no_reason_to_send_credentials(
    server: HostileServer, other_server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.redirect(other_server.url)] * 2
    other_server.script = [hostile.ask_for_basic("ada", "s3cret-key")] * 2
    with pytest.raises(DownloadError, match="answered 401"):
        fetch(server.url, destination, credentials=ACCOUNT)
    assert server.header("Authorization") == [None]
    assert other_server.header("Authorization") == [None]


def test_a_redirect_to_another_host_is_followed(
    server: HostileServer, other_server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    to_the_other = hostile.redirect(f"{other_server.url}/mirror")
    server.script = [hostile.ask_for_basic("ada", "s3cret-key", then=to_the_other)] * 2
    fetch(server.url, destination, credentials=ACCOUNT)
    assert_only_the_file_is_there(destination)
    assert server.header("Authorization")[1] is not None
    assert other_server.header("Authorization") == [None]


def test_redirects_in_a_circle_are_an_error(server: HostileServer, destination: Path, fetch: Fetch) -> None:
    server.script = [hostile.redirect("/data/images.tar")] * 99
    with pytest.raises(DownloadError, match="redirects"):
        fetch(server.url, destination)


@pytest.mark.parametrize("target", ["ftp://elsewhere/file", "http://[broken", "http://host:port/"])
def test_a_redirect_to_no_http_url_is_an_error(
    target: str, server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.redirect(target)]
    with pytest.raises(DownloadError, match="check --source"):
        fetch(server.url, destination)


def test_netrc_is_not_read_behind_our_back(
    server: HostileServer, destination: Path, fetch: Fetch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("default login ada password s3cret-key\n")
    server.script = [hostile.ask_for_basic("ada", "s3cret-key")]
    with pytest.raises(DownloadError, match="401"):
        fetch(server.url, destination)
    assert server.header("Authorization") == [None]


def test_credentials_inside_a_source_are_refused_and_not_repeated(destination: Path, fetch: Fetch) -> None:
    with pytest.raises(DownloadError, match="IMAGENET_USERNAME and IMAGENET_ACCESS_KEY") as caught:
        fetch("https://ada:s3cret-key@image-net.org/data", destination)
    assert "https://image-net.org/data/images.tar" in str(caught.value)
    assert "ada" not in str(caught.value)
    assert "s3cret-key" not in str(caught.value)


def test_no_secret_is_ever_written_down(
    server: HostileServer, destination: Path, fetch: Fetch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="luigi_ilsvrc")
    asking = hostile.ask_for_basic(ACCOUNT.username, ACCOUNT.access_key, then=hostile.close_at(1000))
    server.script = [asking, asking, hostile.answer(503), hostile.answer(403)]
    with pytest.raises(DownloadError) as caught:
        fetch(server.url + "?sig=signature", destination, credentials=ACCOUNT)
    record = destination.with_name(destination.name + ".partial.json").read_text()
    for text in (str(caught.value), caplog.text, record, repr(ACCOUNT), str(ACCOUNT)):
        for secret in (ACCOUNT.username + ":", ACCOUNT.access_key, "signature"):
            assert secret not in text


def test_explicit_credentials_win_over_netrc(tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine image-net.org login grace password other\n")
    assert find_credentials(archives.SOURCE, "ada", "key") == Credentials("ada", "key")


def test_netrc_is_asked_for_the_host_of_the_source(tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine image-net.org login grace password other\n")
    assert find_credentials(archives.SOURCE, None, None) == Credentials("grace", "other")
    assert find_credentials("https://elsewhere.org/data", None, None) is None
    assert find_credentials("/data/imagenet", None, None) is None


@pytest.mark.parametrize(("username", "access_key"), [("ada", None), (None, "key"), ("ada", "")])
def test_half_an_account_is_an_error(username: str | None, access_key: str | None) -> None:
    with pytest.raises(DownloadError, match="only one of IMAGENET_USERNAME and IMAGENET_ACCESS_KEY"):
        find_credentials(archives.SOURCE, username, access_key)


# Several processes


def test_a_second_process_waits_and_finds_the_file_there(
    server: HostileServer, destination: Path, fetch: Fetch, caplog: pytest.LogCaptureFixture
) -> None:
    go_on = threading.Event()
    server.script = [hostile.hold_at(100_000, go_on)]
    first = in_another_process(server.url, destination)
    wait_until(lambda: bytes_of(partial_of(destination)) > 0)
    second = threading.Thread(target=fetch, args=(server.url, destination))
    second.start()
    wait_until(lambda: "another process is writing" in caplog.text)
    go_on.set()
    second.join()
    assert first.wait() == 0
    assert_only_the_file_is_there(destination)
    assert len(server.requests) == 1
    # One record, though it may come by two ways: the package's logger forwards to Luigi's.
    assert len({id(record) for record in caplog.records if "waiting for it" in record.getMessage()}) == 1


def test_a_second_process_goes_on_where_a_killed_one_was(
    server: HostileServer, destination: Path, fetch: Fetch, caplog: pytest.LogCaptureFixture
) -> None:
    server.script = [hostile.stall_at(100_000)]
    first = in_another_process(server.url, destination)
    wait_until(lambda: bytes_of(partial_of(destination)) == 100_000)
    second = threading.Thread(target=fetch, args=(server.url, destination))
    second.start()
    wait_until(lambda: "another process is writing" in caplog.text)
    first.send_signal(signal.SIGKILL)
    first.wait()
    second.join()
    assert_only_the_file_is_there(destination)
    assert server.header("Range") == [None, "bytes=100000-"]


def test_many_at_once_make_one_file(server: HostileServer, destination: Path) -> None:
    server.script = [hostile.close_at(50_000), hostile.answer(503), hostile.page("text/html"), hostile.flip_a_byte]
    outcomes: list[str] = []

    def run() -> None:
        try:
            Fetch()(server.url, destination, attempts=1)
            outcomes.append("there")
        except DownloadError:
            outcomes.append("failed")

    threads = [threading.Thread(target=run) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("failed") == 4
    assert_only_the_file_is_there(destination)
    assert len(server.requests) == 5


# Disks


def test_a_file_that_cannot_fit_is_refused_before_its_first_byte(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    server.script = [hostile.answer(200, BODY, Content_Length=10**18)]
    with pytest.raises(DownloadError, match=r"1,000,000,000,000,000,000 bytes are still needed, [\d,]+ are free"):
        fetch(server.url, destination)
    assert beside(destination) == []


def test_a_write_that_fails_keeps_what_came_and_the_next_run_completes(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    with (
        largest_file(100_000),
        pytest.raises(DownloadError, match=r"training_images.tar.partial \(File too large\): [\d,]+ bytes are still"),
    ):
        fetch(server.url, destination)
    fetch(server.url, destination)
    assert_only_the_file_is_there(destination)
    assert server.header("Range") == [None, "bytes=100000-"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    mount = tmp_path / "mount"
    mount.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(mount)]
    if os.geteuid() != 0 or subprocess.run(command, stderr=subprocess.DEVNULL).returncode != 0:
        pytest.skip("a disk that fills up needs the right to mount one")
    try:
        yield mount
    finally:
        subprocess.run(["umount", str(mount)], check=True)


def test_a_disk_that_fills_up_half_way_is_an_error_with_figures(
    server: HostileServer, small_disk: Path, fetch: Fetch
) -> None:
    destination = small_disk / NAME
    server.script = [hostile.chunked]
    with pytest.raises(DownloadError, match=r"No space left on device\): an unknown number of bytes .* 0 are free"):
        fetch(server.url, destination)
    subprocess.run(["mount", "-o", "remount,size=1m", str(small_disk)], check=True)
    fetch(server.url, destination)
    assert_only_the_file_is_there(destination)
    assert server.header("Range")[1] is not None


def test_a_directory_that_is_not_there_is_said_at_once(server: HostileServer, tmp_path: Path, fetch: Fetch) -> None:
    with pytest.raises(DownloadError, match=r"cannot write beside .*No such file or directory"):
        fetch(server.url, tmp_path / "nowhere" / NAME)
    assert server.requests == []


def test_a_directory_that_may_not_be_written_is_said_at_once(
    server: HostileServer, destination: Path, fetch: Fetch
) -> None:
    destination.parent.chmod(0o500)
    try:
        if os.access(destination.parent, os.W_OK):
            pytest.skip("root may write everywhere")
        with pytest.raises(DownloadError, match=r"cannot write beside .*Permission denied"):
            fetch(server.url, destination)
    finally:
        destination.parent.chmod(0o700)
    assert server.requests == []


# Local folders


@pytest.fixture
def folder_elsewhere(tmp_path: Path) -> Iterator[Path]:
    shared_memory = Path("/dev/shm")
    if not shared_memory.is_dir() or shared_memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("a copy needs a second file system")
    folder = shared_memory / f"luigi-ilsvrc-{os.getpid()}"
    folder.mkdir()
    (folder / NAME).write_bytes(BODY * 10)
    try:
        yield folder
    finally:
        (folder / NAME).unlink()
        folder.rmdir()


def test_a_local_file_is_linked_where_that_is_possible(folder: Path, destination: Path, fetch: Fetch) -> None:
    fetch(folder, destination)
    assert_only_the_file_is_there(destination)
    assert destination.samefile(folder / NAME)
    assert fetch.told[-1] == ("checking", len(BODY), len(BODY))


def test_a_folder_may_be_given_as_a_file_url(folder: Path, destination: Path, fetch: Fetch) -> None:
    fetch(folder.as_uri(), destination)
    assert destination.samefile(folder / NAME)


def test_a_symbolic_link_is_resolved_first(folder: Path, destination: Path, fetch: Fetch) -> None:
    (folder / NAME).rename(folder / "elsewhere.tar")
    (folder / NAME).symlink_to("elsewhere.tar")
    fetch(folder, destination)
    assert destination.samefile(folder / "elsewhere.tar")
    assert not destination.is_symlink()


def test_a_local_file_on_another_file_system_is_copied(folder_elsewhere: Path, destination: Path, fetch: Fetch) -> None:
    fetch(folder_elsewhere, destination, md5=md5_of(BODY * 10))
    assert_only_the_file_is_there(destination, BODY * 10)
    assert fetch.told[-1] == ("copying", len(BODY) * 10, len(BODY) * 10)


def break_off(stage: str, done: int, total: int | None) -> None:
    raise KeyboardInterrupt


def test_a_copy_that_was_broken_off_is_resumed(folder_elsewhere: Path, destination: Path, fetch: Fetch) -> None:
    with pytest.raises(KeyboardInterrupt):
        fetch(folder_elsewhere, destination, md5=md5_of(BODY * 10), progress=break_off)
    kept = partial_of(destination).stat().st_size
    assert 0 < kept < len(BODY) * 10
    fetch(folder_elsewhere, destination, md5=md5_of(BODY * 10))
    assert_only_the_file_is_there(destination, BODY * 10)
    assert fetch.told[0] == ("checking", kept, kept)
    assert fetch.told[1][0] == "copying"
    assert fetch.told[1][1] > kept


def test_a_local_file_that_changed_is_copied_anew(folder_elsewhere: Path, destination: Path, fetch: Fetch) -> None:
    with pytest.raises(KeyboardInterrupt):
        fetch(folder_elsewhere, destination, progress=break_off)
    changed = (BODY * 10)[::-1]
    (folder_elsewhere / NAME).write_bytes(changed)
    os.utime(folder_elsewhere / NAME, (0, 0))
    fetch(folder_elsewhere, destination, md5=md5_of(changed))
    assert_only_the_file_is_there(destination, changed)
    assert fetch.waits == []


def test_a_damaged_local_file_is_an_error_and_stays_where_it_is(folder: Path, destination: Path, fetch: Fetch) -> None:
    (folder / NAME).write_bytes(BODY[:-1])
    with pytest.raises(ChecksumError, match=f"{md5_of(BODY[:-1])}, but {md5_of(BODY)} was expected") as caught:
        fetch(folder, destination)
    assert str(folder / NAME) in str(caught.value)
    assert (folder / NAME).read_bytes() == BODY[:-1]
    assert beside(destination) == []


def test_a_damaged_local_file_on_another_file_system_is_never_copied_into_place(
    folder_elsewhere: Path, destination: Path, fetch: Fetch
) -> None:
    with pytest.raises(ChecksumError, match="was expected"):
        fetch(folder_elsewhere, destination)
    assert beside(destination) == []
    assert (folder_elsewhere / NAME).read_bytes() == BODY * 10


def test_a_partial_that_is_a_link_to_somebodys_file_never_harms_it(
    server: HostileServer, folder: Path, destination: Path, fetch: Fetch
) -> None:
    (folder / NAME).write_bytes(b"precious")
    os.link(folder / NAME, partial_of(destination))
    fetch(server.url, destination)
    assert (folder / NAME).read_bytes() == b"precious"
    assert_only_the_file_is_there(destination)


def test_a_partial_that_is_a_symbolic_link_is_not_followed(
    server: HostileServer, folder: Path, destination: Path, fetch: Fetch
) -> None:
    partial_of(destination).symlink_to(folder / NAME)
    with pytest.raises(DownloadError, match="cannot write beside"):
        fetch(server.url, destination)
    assert (folder / NAME).read_bytes() == BODY


def test_a_partial_from_the_net_gives_way_to_a_local_file(
    server: HostileServer, folder: Path, destination: Path, fetch: Fetch
) -> None:
    leave_a_partial(server, destination)
    fetch(folder, destination)
    assert_only_the_file_is_there(destination)


def test_a_link_left_by_a_killed_process_does_not_stand_in_the_way(
    folder: Path, destination: Path, fetch: Fetch
) -> None:
    os.link(folder / NAME, destination.with_name(destination.name + ".partial.link"))
    fetch(folder, destination)
    assert_only_the_file_is_there(destination)


def test_without_an_md5_a_local_file_is_linked_at_once(folder: Path, destination: Path, fetch: Fetch) -> None:
    fetch(folder, destination, md5=None)
    assert destination.samefile(folder / NAME)
    assert fetch.told == []


def test_a_missing_local_file_is_an_error_that_lists_what_is_expected(
    tmp_path: Path, destination: Path, fetch: Fetch
) -> None:
    with pytest.raises(DownloadError, match=re.escape(f"{tmp_path / NAME} is not there")) as caught:
        fetch(tmp_path, destination)
    for archive in (archives.TRAIN, archives.VALIDATION, archives.BOUNDING_BOXES):
        assert archive.name in str(caught.value)
    assert beside(destination) == []


@pytest.mark.parametrize("source", ["s3://bucket/data", "http://[broken", "http://host:port", "http://", "file://[x"])
def test_a_source_of_no_known_kind_is_an_error(source: str, destination: Path, fetch: Fetch) -> None:
    with pytest.raises(DownloadError, match=r"source|URL"):
        fetch(source, destination)
    assert beside(destination) == []


# Files of checksums

names = st.text(st.characters(exclude_characters="/\n\r\\\0", exclude_categories=["Cs"]), min_size=1).filter(
    lambda name: name.strip() and not set(name) <= {"."} and name[0] not in " \t*"
)
sums = st.binary(min_size=16, max_size=16).map(bytes.hex)


@given(
    entries=st.dictionaries(names, sums),
    capitals=st.booleans(),
    marker=st.sampled_from(["  ", " *"]),
    directory=st.sampled_from(["", "./", "a/b c/", "/data/"]),
    newline=st.sampled_from(["\n", "\r\n"]),
    filler=st.sampled_from(["", "# a comment\n", "\n", " \r\n"]),
)
def test_what_md5sum_writes_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    entries: dict[str, str],
    capitals: bool,
    marker: str,
    directory: str,
    newline: str,
    filler: str,
) -> None:
    path = tmp_path_factory.mktemp("sums") / "MD5SUMS"
    lines = [
        f"{md5.upper() if capitals else md5}{marker}{directory}{name}{newline}{filler}" for name, md5 in entries.items()
    ]
    path.write_bytes("".join(lines).encode())
    assert read_checksums(path) == entries


def test_what_md5sum_itself_wrote_is_read(folder: Path) -> None:
    listing = subprocess.run(["md5sum", f"./{NAME}"], cwd=folder, capture_output=True, check=True).stdout
    (folder / "MD5SUMS").write_bytes(listing)
    assert read_checksums(folder / "MD5SUMS") == {NAME: md5_of(BODY)}


@pytest.mark.parametrize("line", ["no sum", "d41d8cd98f00b204e9800998ecf8427e", "d41d8cd98f00  x", f"{'0' * 40}  sha1"])
def test_a_malformed_line_is_named_by_file_and_number(line: str, tmp_path: Path) -> None:
    path = tmp_path / "MD5SUMS"
    path.write_text(f"# sums\n{'0' * 32}  good.tar\n{line}\n")
    with pytest.raises(ChecksumError, match=re.escape(f"{path}, line 3")):
        read_checksums(path)


def test_two_sums_for_one_name_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "MD5SUMS"
    path.write_text(f"{'0' * 32}  old/x.tar\n{'1' * 32}  new/x.tar\n")
    with pytest.raises(ChecksumError, match=r"line 2: a second, different MD5 sum for x.tar"):
        read_checksums(path)


def test_a_missing_file_of_checksums_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ChecksumError, match="No such file"):
        read_checksums(tmp_path / "MD5SUMS")
