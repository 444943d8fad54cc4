"""WebDataset shards are the same bytes whoever makes them, in how many pieces, and whatever form the source has."""

import hashlib
import os
import signal
from pathlib import Path

import pytest

from tests.reliability.kill import Build, leftovers, wait_until
from tests.support import slow_tasks
from tests.support.in_process import run
from tests.support.running import PROJECT
from tests.support.source_forms import FORMS, source_below

pytestmark = pytest.mark.slow

SHARDS = 16 + 8
OPTIONS = (
    *("--formats", "webdataset", "--images", "none"),
    *("--train-shards", "16", "--validation-shards", "8"),
)


def build(data_dir: Path, source: Path, workers: int) -> dict[str, str]:
    """Build; return the SHA-256 of each shard."""
    built = run("BuildAll", "--data-dir", data_dir, "--source", source, *OPTIONS, "--workers", workers)
    assert built.is_well, built.output
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in shards_in(data_dir)}
    assert len(found) == len(set(found.values())) == SHARDS
    return found


def shards_in(data_dir: Path) -> list[Path]:
    return sorted((data_dir / "ilsvrc2012" / "webdataset").glob("*.tar"))


@pytest.fixture(scope="module")
def undisturbed(ilsvrc: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The SHA-256 of each shard that one worker makes from the archives."""
    return build(tmp_path_factory.mktemp("undisturbed"), ilsvrc, workers=1)


def test_two_workers_make_the_shards_of_one(ilsvrc: Path, undisturbed: dict[str, str], tmp_path: Path) -> None:
    assert build(tmp_path, ilsvrc, workers=2) == undisturbed


@pytest.mark.parametrize("form", ["torchvision's root", "Kaggle's tree", "Hugging Face's parquet"])
def test_another_form_of_the_source_gives_the_same_shards(
    ilsvrc: Path, undisturbed: dict[str, str], tmp_path: Path, form: str
) -> None:
    source = tmp_path / "source"
    source.mkdir()
    FORMS[form](ilsvrc, source)
    assert build(tmp_path / "data", source_below(source, form), workers=2) == undisturbed


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="processes are found in /proc")
def test_a_build_killed_among_its_shards_ends_with_the_same(
    ilsvrc: Path, undisturbed: dict[str, str], tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    arguments = ["BuildAll", "--data-dir", data_dir, "--source", ilsvrc, *OPTIONS, "--workers", "2"]
    # With tasks that take longer: otherwise all shards may be there before it is killed.
    killed = Build([*arguments, *slow_tasks.OPTION], tmp_path / "log", {"PYTHONPATH": str(PROJECT)})
    try:
        assert wait_until(lambda: len(shards_in(data_dir)) > 0, 120), killed.said()
        os.kill(killed.worker.pid, signal.SIGKILL)
        assert killed.is_gone(), killed.said()
    finally:
        killed.end()
    assert 0 < len(shards_in(data_dir)) < SHARDS
    assert build(data_dir, ilsvrc, workers=1) == undisturbed
    assert leftovers(data_dir) == []
