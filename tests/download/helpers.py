"""What the tests of downloads share."""

import hashlib
import io
import json
import random
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from luigi_ilsvrc.download.cookies import Cookies
from luigi_ilsvrc.download.credentials import Credentials
from luigi_ilsvrc.download.download import download
from luigi_ilsvrc.download.source import DownloadError
from luigi_ilsvrc.progress import Progress
from tests.support import hostile_server as hostile
from tests.support.hostile_server import HostileServer

PROJECT = Path(__file__).parents[2]
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


class Fetch:
    """A download that notes the delays instead of sleeping, and all calls of progress.

    Its time-out is far longer than a busy machine takes to answer; a test of a server that answers no more gives one.
    """

    def __init__(self, connections: int = 4, timeout: float = 60) -> None:
        self.connections = connections
        self.timeout = timeout
        self.waits: list[float] = []
        self.calls: list[tuple[str, int, int | None, str]] = []
        self.callers: set[threading.Thread] = set()

    def _note(self, stage: str, done: int, total: int | None, unit: str) -> None:
        self.calls.append((stage, done, total, unit))
        self.callers.add(threading.current_thread())

    def __call__(
        self,
        source: str | Path,
        destination: Path,
        *,
        name: str = NAME,
        md5: str | None = md5_of(BODY),
        credentials: Credentials | None = None,
        cookies: Cookies | None = None,
        connections: int | None = None,
        attempts: int = 3,
        timeout: float | None = None,
        min_rate: float = 0,
        progress: Progress | None = None,
    ) -> None:
        download(
            str(source),
            name,
            destination,
            md5=md5,
            credentials=credentials,
            cookies=cookies,
            connections=connections or self.connections,
            attempts=attempts,
            timeout=timeout or self.timeout,
            min_rate=min_rate,
            sleep=self.waits.append,
            progress=progress or self._note,
        )


def partial_of(destination: Path) -> Path:
    return destination.with_name(destination.name + ".partial")


def record_file(destination: Path) -> Path:
    return destination.with_name(destination.name + ".partial.json")


def record_of(destination: Path) -> dict[str, object]:
    try:
        content = json.loads(record_file(destination).read_bytes())
    except FileNotFoundError:
        return {}
    assert isinstance(content, dict)
    return content


def ranges_of(destination: Path) -> list[list[int]]:
    ranges = record_of(destination).get("ranges", [])
    assert isinstance(ranges, list)
    return ranges


def beside(destination: Path) -> list[str]:
    return sorted(path.name for path in destination.parent.iterdir())


def assert_only_file(destination: Path, body: bytes = BODY) -> None:
    assert destination.read_bytes() == body
    assert beside(destination) == [destination.name]


def leave_partial(
    server: HostileServer, destination: Path, size: int = 100_000, *, md5: str | None = md5_of(BODY)
) -> None:
    """Leave what one connection leaves: bytes from the start on, and no list of ranges."""
    server.script = [hostile.close_at(size)]
    with pytest.raises(DownloadError):
        Fetch()(server.url, destination, connections=1, attempts=1, md5=md5)
    assert partial_of(destination).stat().st_size == size
    assert ranges_of(destination) == []
    server.requests.clear()


def in_another_process(source: str | Path, destination: Path) -> subprocess.Popen[bytes]:
    script = (
        "import sys; from pathlib import Path; from luigi_ilsvrc.download.download import download;"
        "download(sys.argv[1], sys.argv[2], Path(sys.argv[3]), md5=sys.argv[4])"
    )
    arguments = [sys.executable, "-c", script, str(source), NAME, str(destination), md5_of(BODY)]
    return subprocess.Popen(arguments, cwd=PROJECT)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def bytes_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
