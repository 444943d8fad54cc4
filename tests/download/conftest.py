from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.download.helpers import BODY, NAME, Fetch
from tests.support import hostile_server as hostile
from tests.support.hostile_server import HostileServer


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
    folder = tmp_path / "dataset"
    folder.mkdir()
    return folder / "training_images.tar"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A source folder."""
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / NAME).write_bytes(BODY)
    return folder


@pytest.fixture
def fetch() -> Fetch:
    return Fetch()
