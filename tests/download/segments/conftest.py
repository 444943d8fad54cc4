import pytest

from luigi_ilsvrc.download import partial_file, segments
from tests.download.helpers import Fetch
from tests.download.segments.helpers import SIZES, begin
from tests.support.hostile_server import HostileServer


@pytest.fixture(autouse=True)
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size in SIZES.items():
        monkeypatch.setattr(segments, name, size)
    monkeypatch.setattr(partial_file, "RECORD_INTERVAL_BYTES", 10_000)


@pytest.fixture
def server(server: HostileServer) -> HostileServer:
    """A server that announces ranges, and lets the first connection wait for two others."""
    server.accept_ranges = "bytes"
    server.script = [begin]
    return server


@pytest.fixture
def fetch() -> Fetch:
    return Fetch(connections=3)
