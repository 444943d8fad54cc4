"""Two whole builds of one place at once, on file systems whose locks fail or are given to everybody."""

import random
import time
from pathlib import Path

import pytest

from luigi_ilsvrc.dataset.archives import TRAIN_ARCHIVE
from tests.reliability.kill import Build, Tormentor, differences, leftovers, tables_and_checksums
from tests.support.broken_locks import BROKEN_LOCKS, broken_locks
from tests.support.running import QUICK, SHARDS, contents, http_server

pytestmark = pytest.mark.slow

_LONGEST_BUILD = 120


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("kind", BROKEN_LOCKS)
@pytest.mark.parametrize("over_http", [False, True], ids=["folder", "http"])
def test_two_builds_at_once_give_an_undisturbed_build(
    ilsvrc: Path, built: Path, tmp_path: Path, over_http: bool, kind: str, seed: int
) -> None:
    rng = random.Random(f"{kind} {over_http} {seed}")
    data_dir, environment = tmp_path / "data", broken_locks(kind, tmp_path / "locks")

    def start(source: object, name: str) -> Build:
        arguments = ["BuildAll", "--data-dir", data_dir, "--source", source, *SHARDS, "--no-lock"]
        given = tables_and_checksums(ilsvrc) if over_http else []
        workers = rng.choice(["1", "2", "3"])
        return Build([*arguments, *given, "--workers", workers], tmp_path / f"{name}.log", environment)

    with http_server(ilsvrc) as url:
        source = url if over_http else ilsvrc
        first = start(source, "first")
        time.sleep(rng.choice([0, 0, 0.1, rng.uniform(0, 2)]))
        builds = [first, start(source, "second")]
        for build in builds:
            status = build.worker.wait(_LONGEST_BUILD)
            assert status == 0 or is_clear(build.said()), build.said()
        again = start(source, "again")
        assert again.worker.wait(_LONGEST_BUILD) == 0, again.said()
    assert differences(data_dir, contents(built)) == [], "\n".join(build.said() for build in builds)
    assert leftovers(data_dir) == []


def is_clear(output: str) -> bool:
    return "ERROR" in output and "Traceback" not in output


@pytest.mark.parametrize("kind", BROKEN_LOCKS)
def test_builds_killed_at_random_end_like_an_undisturbed_one(ilsvrc: Path, tmp_path: Path, kind: str) -> None:
    environment = broken_locks(kind, tmp_path / "locks")
    builds = tmp_path / "builds"
    builds.mkdir()
    outcome = Tormentor(ilsvrc, builds, seed=7, options=QUICK, environment=environment).torment(2)
    assert outcome.is_good, outcome


def test_the_partial_file_of_a_download_is_not_left_by_two_that_write_it(ilsvrc: Path, tmp_path: Path) -> None:
    environment = broken_locks("shared", tmp_path / "locks")
    data_dir = tmp_path / "data"
    with http_server(ilsvrc) as url:
        arguments = ["DownloadTrain", "--data-dir", data_dir, "--source", url, *tables_and_checksums(ilsvrc)]
        builds = [Build([*arguments, "--no-lock"], tmp_path / f"{name}.log", environment) for name in range(3)]
        for build in builds:
            assert build.worker.wait(_LONGEST_BUILD) == 0 or is_clear(build.said()), build.said()
    archive = data_dir / "ilsvrc2012" / TRAIN_ARCHIVE.local_name
    assert archive.read_bytes() == (ilsvrc / TRAIN_ARCHIVE.name).read_bytes()
