"""What a power cut leaves of files that are read by other tasks: nothing is made from it, and it is made again."""

import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.reliability.flip import named
from tests.support.running import luigi
from tests.tasks.verification.commands import assert_whole_after_a_build, verify

pytestmark = pytest.mark.slow

SYNSET = "n02105855"
INDEX = f"ilsvrc2012/index/train/{SYNSET}.csv"
PLAN = "ilsvrc2012/index/train-plan-of-00008/00003.csv"
BOXES = "bounding_boxes.csv"
MANIFESTS = "ilsvrc2012/index/manifests"

EXTRACT = ("ExtractTrainPerSynset", "--synset", SYNSET)
SHARD = ("TFRecordShard", "--split", "train", "--shard", "3", "--num-shards", "8")
PLAN_SHARDS = ("PlanShards", "--split", "train", "--num-shards", "8")


class Cut(NamedTuple):
    """A file that was not written to the disk in full, and a task that reads it."""

    file: str
    lost: float
    """The part of the file that is gone."""
    task: tuple[str, ...]
    output: str


FOLDER = f"ilsvrc2012/training_images/{SYNSET}"
RECORDS = "ilsvrc2012/tfrecords/train-00003-of-00008"
PLANS = "ilsvrc2012/index/train-plan-of-00008"

CUTS = [
    Cut(INDEX, 0.5, EXTRACT, FOLDER),
    Cut(INDEX, 1, EXTRACT, FOLDER),
    Cut(INDEX, 1, PLAN_SHARDS, PLANS),
    Cut(PLAN, 1, SHARD, RECORDS),
    Cut(PLAN, 0.3, SHARD, RECORDS),
    Cut(BOXES, 1, PLAN_SHARDS, PLANS),
    Cut(BOXES, 0.5, PLAN_SHARDS, PLANS),
    Cut(f"{MANIFESTS}/index/train.csv", 1, EXTRACT, FOLDER),
    Cut(f"{MANIFESTS}/index/train-plan-of-00008.csv", 1, SHARD, RECORDS),
    Cut(f"{MANIFESTS}/bounding_boxes.csv.csv", 1, PLAN_SHARDS, PLANS),
]


@pytest.fixture(params=CUTS, ids=lambda cut: f"{Path(cut.file).name}-{cut.lost}-{cut.task[0]}")
def cut(request: pytest.FixtureRequest, data_dir: Path) -> Cut:
    """A build of which the end of a file is gone."""
    cut: Cut = request.param
    path = data_dir / cut.file
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * (1 - cut.lost))])
    return cut


def test_the_next_task_that_reads_it_says_so_and_makes_nothing_of_it(cut: Cut, data_dir: Path, ilsvrc: Path) -> None:
    output = data_dir / cut.output
    shutil.rmtree(output) if output.is_dir() else output.unlink()
    status, said = luigi(*cut.task, "--data-dir", data_dir, "--source", ilsvrc)
    assert status == 30, said
    assert "Traceback" not in said
    assert [line for line in said.splitlines() if "failed " in line and str(data_dir / cut.file) in line], said
    assert not output.exists()


def test_it_is_found_and_after_one_repair_and_one_build_all_is_as_if_nothing_had_happened(
    cut: Cut, data_dir: Path, built: Path, ilsvrc: Path
) -> None:
    status, said = verify(data_dir, ilsvrc, "--repair", "true")
    assert (status, named(said)) == (30, {data_dir / cut.file}), said
    assert_whole_after_a_build(data_dir, built, ilsvrc)


def test_manifests_that_nobody_reads_in_a_build_are_found_too(data_dir: Path, built: Path, ilsvrc: Path) -> None:
    names = [
        f"training_images/{SYNSET}.csv",
        "validation_images.csv",
        "training_bounding_boxes.csv",
        "tfrecords/train-00003-of-00008.csv",
        "training_images.tar.json",
    ]
    emptied = {data_dir / MANIFESTS / name for name in names}
    for path in emptied:
        path.write_bytes(b"")
    status, said = verify(data_dir, ilsvrc, "--repair", "true")
    assert (status, named(said)) == (30, emptied), said
    assert_whole_after_a_build(data_dir, built, ilsvrc)


@pytest.mark.parametrize("names", [["build.json"], ["tables/build.json"]])
def test_an_empty_record_of_the_build_is_restored_from_its_copy(
    data_dir: Path, built: Path, ilsvrc: Path, names: list[str]
) -> None:
    index = data_dir / "ilsvrc2012" / "index"
    for name in names:
        (index / name).write_bytes(b"")
    status, said = verify(data_dir, ilsvrc, "--repair", "true")
    assert (status, named(said)) == (30, {index / name for name in names}), said
    assert (index / "build.json").read_bytes() == (index / "tables" / "build.json").read_bytes() != b""
    assert_whole_after_a_build(data_dir, built, ilsvrc)
