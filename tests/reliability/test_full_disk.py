import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import luigi_ilsvrc
from luigi_ilsvrc.dataset.archives import TRAIN_ARCHIVE, VALIDATION_ARCHIVE
from luigi_ilsvrc.storage.disk import DiskError
from luigi_ilsvrc.tasks.disk_space import bytes_needed
from luigi_ilsvrc.tasks.outputs import DataSetTask
from tests.reliability.kill import leftovers
from tests.support.disks import mounted, remount
from tests.support.running import SHARDS, contents, luigi

pytestmark = pytest.mark.slow

FIGURES = re.compile(r"[\d,]+ bytes are needed .*[\d,]+ are free|leaves [\d,]+ bytes free")
PAGE = 4096


# Before anything is written ------------------------------------------------------------------------------------------


def test_a_build_that_cannot_fit_is_refused_with_both_figures_before_anything_is_written(
    ilsvrc: Path, tmp_path: Path
) -> None:
    with mounted(tmp_path / "disk", "64k") as disk:
        status, output = luigi("BuildAll", "--data-dir", disk / "data", "--source", ilsvrc, *SHARDS)
        assert status == 35, output
        error = rf"^ERROR: {disk}: [\d,]+ bytes .* 65,536 .*--data-dir.*--formats none$"
        assert re.search(error, output, re.MULTILINE), output
        assert "Traceback" not in output
        assert list(disk.iterdir()) == []


def test_the_real_build_is_known_to_take_three_times_its_archives(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "1m") as disk:
        status, output = luigi("BuildAll", "--data-dir", disk)
        # Archives, class folders and shards, of 147,897,477,120 and 6,744,924,160 bytes each.
        assert (status, "463,927,203,840 bytes are needed" in output) == (35, True), output
        status, output = luigi("BuildAll", "--data-dir", disk, "--formats", "none")
        assert (status, "309,284,802,560 bytes are needed" in output) == (35, True), output


def test_linked_archives_and_what_is_there_need_no_room(built: Path, ilsvrc: Path, tmp_path: Path) -> None:
    build = luigi_ilsvrc.BuildAll(data_dir=tmp_path, source=str(ilsvrc), train_shards=8, validation_shards=3)
    archives = sum((ilsvrc / archive.name).stat().st_size for archive in (TRAIN_ARCHIVE, VALIDATION_ARCHIVE))
    assert sum(bytes_needed(build).values()) == 2 * archives
    assert sum(bytes_needed(build.clone(formats=())).values()) == archives
    complete = luigi_ilsvrc.BuildAll(data_dir=built, source=str(ilsvrc), train_shards=8, validation_shards=3)
    assert sum(bytes_needed(complete).values()) == 0


def test_what_lies_on_several_disks_is_asked_of_each(ilsvrc: Path, tmp_path: Path) -> None:
    dataset = tmp_path / "data" / "ilsvrc2012"
    dataset.mkdir(parents=True)
    with mounted(tmp_path / "disk", "8k") as disk:
        (dataset / "tfrecords").symlink_to(disk)
        status, output = luigi("BuildAll", "--data-dir", dataset.parent, "--source", ilsvrc, *SHARDS)
        assert (status, f"ERROR: {dataset}/tfrecords: " in output) == (35, True), output


def test_looking_at_the_graph_of_a_build_that_cannot_fit_is_no_error(tmp_path: Path) -> None:
    with mounted(tmp_path / "disk", "64k") as disk:
        build = luigi_ilsvrc.BuildAll(data_dir=disk)
        assert build.requires()
        assert not build.complete()


# While it is written -------------------------------------------------------------------------------------------------

Make = Callable[[Path, Path], DataSetTask]


def task(family: str, **parameters: object) -> Make:
    return lambda data_dir, source: getattr(luigi_ilsvrc, family)(data_dir=data_dir, source=str(source), **parameters)


STAGES = {
    "IndexTrain": task("IndexTrain"),
    "IndexValidation": task("IndexValidation"),
    "ExtractTrainPerSynset": task("ExtractTrainPerSynset", synset="n02105855"),
    "SortValidation": task("SortValidation"),
    "ExtractBoundingBoxes": task("ExtractBoundingBoxes"),
    "BoundingBoxCSV": task("BoundingBoxCSV"),
    "PlanShards": task("PlanShards", split="train", num_shards=8),
    "TFRecordShard": task("TFRecordShard", split="train", num_shards=8, shard=3),
}


@pytest.fixture(scope="module")
def disk(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the build on a disk of its own."""
    with mounted(tmp_path_factory.mktemp("disk"), "32m") as disk:
        shutil.copytree(built, disk / "data")
        yield disk


def fill(disk: Path, pages: int) -> None:
    """Leave so many pages free."""
    (disk / "ballast").unlink(missing_ok=True)
    free = shutil.disk_usage(disk).free
    with (disk / "ballast").open("wb") as ballast:
        for _ in range(free // PAGE - pages):
            ballast.write(bytes(PAGE))


@pytest.mark.parametrize("stage", STAGES)
def test_wherever_the_disk_fills_there_are_figures_nothing_is_left_and_room_mends_it(
    disk: Path, built: Path, ilsvrc: Path, stage: str
) -> None:
    data_dir = disk / "data"
    made = STAGES[stage](data_dir, ilsvrc)
    made.output().remove()
    made.manifest().remove()
    failures, pages = 0, 0
    while not made.complete():
        fill(disk, pages)
        pages += 1 + pages // 4
        try:
            made.run()
        except DiskError as error:
            failures += 1
            assert str(disk) in str(error)
            assert FIGURES.search(str(error)), error
            assert leftovers(data_dir) == []
            assert not made.complete()
    (disk / "ballast").unlink()
    assert failures > 1
    # What lies beside a shard is to be made again if the shard was.
    found, expected = contents(data_dir), contents(built)
    assert {path for path in expected if path not in found} <= {path for path in expected if "/side_files/" in path}
    assert found == {path: md5 for path, md5 in expected.items() if path in found}


def test_a_disk_that_fills_under_a_build_is_one_clear_error_and_with_more_room_the_next_run_completes(
    built: Path, ilsvrc: Path, tmp_path: Path
) -> None:
    # Files of a few hundred bytes take a page each: more than can be known beforehand.
    with mounted(tmp_path / "disk", "640k") as disk:
        data_dir = disk / "data"
        command = ("BuildAll", "--data-dir", data_dir, "--source", ilsvrc, *SHARDS, "--workers", "2")
        status, output = luigi(*command)
        assert status == 30, output
        errors = [line for line in output.splitlines() if line.startswith("ERROR: ")]
        assert errors
        # Of more than ten, as it happens if the disk is full early.
        errors = [line for line in errors if not line.endswith("more tasks have failed: see above")]
        assert all(str(data_dir) in line and FIGURES.search(line) for line in errors), errors
        assert "Traceback" not in output
        remount(disk, "size=32m")
        status, output = luigi(*command)
        assert status == 0, output
        assert contents(data_dir) == contents(built)
