import gc
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from luigi_ilsvrc import miniature
from tests.support.running import QUICK, SHARDS, luigi


def pytest_configure() -> None:
    """Take Ctrl-C as in a terminal: what runs in the background of a shell script ignores it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # A forked child disposes of nothing that other tests have left here: tensorflow crashes if that is its own.
    os.register_at_fork(after_in_child=gc.freeze)
    # How long an example takes says something of the machine, and of what else it does.
    hypothesis.settings.register_profile(
        "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("any machine")


@pytest.fixture(scope="session")
def tensorflow() -> Any:
    """What reads the shards, and the oracle of its formats; without it, the tests that need it are skipped."""
    return pytest.importorskip("tensorflow")


@pytest.fixture(scope="session")
def ilsvrc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A miniature of tiny images, for all tests: read it, do not change it."""
    directory = tmp_path_factory.mktemp("miniature")
    miniature.write(directory, synsets=5, train_images=90, validation_images=25, xml_files=40, tiny=True)
    return directory


def _build(ilsvrc: Path, data_dir: Path, *options: str) -> Path:
    status, output = luigi("BuildAll", "--data-dir", data_dir, "--source", ilsvrc, *options)
    assert status == 0, output
    return data_dir


@pytest.fixture(scope="session")
def built(ilsvrc: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set built from the miniature, undisturbed, by one worker process: read it, do not change it."""
    return _build(ilsvrc, tmp_path_factory.mktemp("built"), *SHARDS)


@pytest.fixture(scope="session")
def built_without_shards(ilsvrc: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same without shards, which takes less time: read it, do not change it."""
    return _build(ilsvrc, tmp_path_factory.mktemp("without-shards"), *QUICK)


@pytest.fixture
def data_dir(built: Path, tmp_path: Path) -> Path:
    """A copy of the built data set, to be changed."""
    return Path(shutil.copytree(built, tmp_path / "data", copy_function=shutil.copy2))
