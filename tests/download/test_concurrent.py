import signal
import threading
from pathlib import Path

import pytest

from luigi_ilsvrc.download.source import DownloadError
from tests.download.helpers import Fetch, assert_only_file, bytes_of, in_another_process, partial_of, wait_until
from tests.support import hostile_server as hostile
from tests.support.hostile_server import HostileServer


def test_a_second_process_waits_and_then_finds_the_file(
    server: HostileServer, destination: Path, fetch: Fetch, caplog: pytest.LogCaptureFixture
) -> None:
    resume = threading.Event()
    server.script = [hostile.hold_at(100_000, resume)]
    first = in_another_process(server.url, destination)
    wait_until(lambda: bytes_of(partial_of(destination)) > 0)
    second = threading.Thread(target=fetch, args=(server.url, destination))
    second.start()
    wait_until(lambda: "another process is writing" in caplog.text)
    resume.set()
    second.join()
    assert first.wait() == 0
    assert_only_file(destination)
    assert len(server.requests) == 1
    # One record, although caplog may get it twice: the package's logger forwards to Luigi's.
    assert len({id(record) for record in caplog.records if "another process" in record.getMessage()}) == 1


def test_a_second_process_continues_where_a_killed_one_stopped(
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
    assert_only_file(destination)
    assert server.header("Range") == [None, "bytes=100000-"]


def test_many_downloads_at_once_make_one_file(server: HostileServer, destination: Path) -> None:
    server.script = [hostile.close_at(50_000), hostile.answer(503), hostile.page("text/html"), hostile.flip_a_byte]
    outcomes: list[str] = []

    def run() -> None:
        try:
            Fetch()(server.url, destination, attempts=1)
            outcomes.append("complete")
        except DownloadError:
            outcomes.append("failed")

    threads = [threading.Thread(target=run) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("failed") == 4
    assert_only_file(destination)
    assert len(server.requests) == 5
