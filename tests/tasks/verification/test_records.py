"""Index, boxes, plans and shards are computed anew: what agrees with itself and not with the source is found."""

import random
import shutil
from pathlib import Path

import pytest

from luigi_ilsvrc.dataset.archives import BOUNDING_BOX_ARCHIVE
from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.storage.manifest import Manifest, read_files, read_manifest, serialize_manifest
from tests.reliability.flip import flip_a_byte, named
from tests.support.running import luigi, times
from tests.tasks.verification.commands import assert_named, assert_whole_after_a_build, build, verify

pytestmark = pytest.mark.slow

SPLITS = {"train": 8, "validation": 3}


def rewrite(path: Path, contents: bytes, data_dir: Path) -> None:
    """Change an output, and its manifest with it."""
    path.write_bytes(contents)
    manifest = DataSetPaths(data_dir).manifest(path)
    manifest.write_bytes(serialize_manifest(Manifest(read_files(path), read_manifest(manifest).inputs)))


def delete_plans_and_shards(data_dir: Path) -> None:
    shutil.rmtree(data_dir / "ilsvrc2012" / "tfrecords")
    for split, count in SPLITS.items():
        shutil.rmtree(DataSetPaths(data_dir).plan(split, count))


def test_shards_that_have_lost_all_boxes_are_found_although_everything_agrees_with_them(
    data_dir: Path, built: Path, ilsvrc: Path
) -> None:
    paths = DataSetPaths(data_dir)
    rewrite(paths.bounding_boxes, b"", data_dir)
    delete_plans_and_shards(data_dir)
    assert build(data_dir, ilsvrc)[0] == 0
    without_boxes = {
        path
        for path in (data_dir / "ilsvrc2012" / "tfrecords").glob("*-of-*")
        if path.read_bytes() != original(path, data_dir, built)
    }
    assert without_boxes
    status, output = verify(data_dir, ilsvrc, "--repair", "true")
    assert status == 30, output
    assert {paths.bounding_boxes, *without_boxes} <= named(output)
    assert_whole_after_a_build(data_dir, built, ilsvrc)


def test_annotations_of_another_build_are_found_after_the_archive_was_deleted_although_their_manifest_agrees(
    data_dir: Path, built: Path, ilsvrc: Path, tmp_path: Path
) -> None:
    paths = DataSetPaths(data_dir)
    paths.archive(BOUNDING_BOX_ARCHIVE).unlink()
    files = sorted(paths.annotations.rglob("*.xml"))
    files[0].write_bytes(files[1].read_bytes())
    manifest = paths.manifest(paths.annotations)
    inputs = {BOUNDING_BOX_ARCHIVE.local_name: "0" * 32}
    manifest.write_bytes(
        serialize_manifest(Manifest(read_files(paths.annotations), inputs, read_manifest(manifest).output))
    )
    status, output = verify(data_dir, ilsvrc, "--repair", "true")
    assert status == 30, output
    assert f"it was made from another {BOUNDING_BOX_ARCHIVE.local_name}" in output
    assert_whole_after_a_build(data_dir, built, ilsvrc)


def original(path: Path, data_dir: Path, built: Path) -> bytes:
    return (built / path.relative_to(data_dir)).read_bytes()


def test_an_index_that_has_lost_an_image_is_found_although_everything_agrees_with_it(
    data_dir: Path, built: Path, ilsvrc: Path
) -> None:
    paths = DataSetPaths(data_dir)
    index = paths.index("train")
    file = index / "n02105855.csv"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))
    manifest = paths.manifest(index)
    manifest.write_bytes(serialize_manifest(Manifest(read_files(index), read_manifest(manifest).inputs)))
    shutil.rmtree(paths.class_folders("train") / "n02105855")
    delete_plans_and_shards(data_dir)
    assert build(data_dir, ilsvrc)[0] == 0
    status, output = verify(data_dir, ilsvrc, "--repair", "true")
    assert status == 30, output
    assert file in named(output)
    assert_whole_after_a_build(data_dir, built, ilsvrc)


def test_the_manifest_of_another_output_is_found_and_the_output_is_kept(
    data_dir: Path, built: Path, ilsvrc: Path
) -> None:
    manifests = DataSetPaths(data_dir).manifests
    swapped = [manifests / "training_images" / f"{synset}.csv" for synset in ("n02105855", "n02058221")]
    swapped += [manifests / "tfrecords" / f"train-{shard:05}-of-00008.csv" for shard in (2, 3)]
    for first, second in (swapped[:2], swapped[2:]):
        contents = first.read_bytes()
        first.write_bytes(second.read_bytes())
        second.write_bytes(contents)
    made = ("training_images", "tfrecords")
    before = {name: times(data_dir / "ilsvrc2012" / name) for name in made}
    status, output = verify(data_dir, ilsvrc, "--repair", "true")
    assert_named(status, output, set(swapped))
    assert_whole_after_a_build(data_dir, built, ilsvrc)
    assert {name: times(data_dir / "ilsvrc2012" / name) for name in made} == before


def test_without_its_index_folder_a_build_is_whole_after_a_repair_and_nothing_that_was_right_is_made_again(
    data_dir: Path, built: Path, ilsvrc: Path
) -> None:
    dataset = data_dir / "ilsvrc2012"
    shutil.rmtree(dataset / "index")
    made = ("training_images", "validation_images", "training_bounding_boxes", "tfrecords")
    before = {name: times(dataset / name) for name in made}
    csv = (data_dir / "bounding_boxes.csv").stat().st_mtime_ns
    # It may say that nothing is left to check the boxes by.
    status, output = build(data_dir, ilsvrc)
    assert (status in (0, 30), "Traceback" in output) == (True, False), output
    assert verify(data_dir, ilsvrc, "--repair", "true")[0] == 30
    assert_whole_after_a_build(data_dir, built, ilsvrc, with_manifests=False)
    assert {name: times(dataset / name) for name in made} == before
    assert (data_dir / "bounding_boxes.csv").stat().st_mtime_ns == csv


def test_manifests_that_were_written_again_say_what_the_outputs_were_made_from(
    data_dir: Path, built: Path, ilsvrc: Path
) -> None:
    shutil.rmtree(data_dir / "ilsvrc2012" / "index")
    build(data_dir, ilsvrc)
    verify(data_dir, ilsvrc, "--repair", "true")
    assert_whole_after_a_build(data_dir, built, ilsvrc)


def test_without_its_index_folder_what_is_damaged_is_found_all_the_same(
    data_dir: Path, built: Path, ilsvrc: Path
) -> None:
    dataset = data_dir / "ilsvrc2012"
    damaged = [
        next((dataset / "training_images").glob("*/*")),
        next((dataset / "validation_images").glob("*/*")),
        next((dataset / "training_bounding_boxes").glob("*/*")),
        data_dir / "bounding_boxes.csv",
        dataset / "tfrecords" / "train-00005-of-00008",
    ]
    for path in damaged:
        flip_a_byte(path, random.Random(1))
    shutil.rmtree(dataset / "index")
    build(data_dir, ilsvrc)
    status, output = verify(data_dir, ilsvrc, "--repair", "true")
    assert status == 30, output
    assert set(damaged) <= named(output)
    assert_whole_after_a_build(data_dir, built, ilsvrc)


def test_shards_and_plans_of_other_counts_are_named_and_kept(data_dir: Path, ilsvrc: Path) -> None:
    paths = DataSetPaths(data_dir)
    other = ("--train-shards", "4", "--validation-shards", "3")
    status, output = luigi("BuildAll", "--data-dir", data_dir, "--source", ilsvrc, *other)
    assert status == 0, output
    status, output = verify(data_dir, ilsvrc, "--repair", "true")
    shards = [paths.records("tfrecords") / f"train-{shard:05}-of-00004" for shard in range(4)]
    plan = paths.plan("train", 4)
    beside = [*map(paths.manifest, [*shards, plan]), *map(paths.details, shards)]
    indexes = [paths.records("tfrecords_index") / shard.name for shard in shards]
    # What is beside the shards is about those of the last build.
    about = paths.records("tfrecords") / "dataset_info.json"
    manifest = paths.side_manifest("tfrecords_index", "TFRecordIndex", "train")
    assert_named(status, output, {*shards, plan, *beside, *indexes, about, manifest})
    assert all(shard.exists() for shard in shards)


def test_a_foreign_plan_is_named(data_dir: Path, ilsvrc: Path) -> None:
    paths = DataSetPaths(data_dir)
    foreign = paths.plan("train", 99)
    shutil.copytree(paths.plan("train", 8), foreign)
    status, output = verify(data_dir, ilsvrc)
    assert_named(status, output, {foreign})


# What was seen while they were made ----------------------------------------------------------------------------------


def test_damaged_and_missing_details_are_found_and_written_again_and_the_outputs_are_kept(
    data_dir: Path, built: Path, ilsvrc: Path
) -> None:
    paths = DataSetPaths(data_dir)
    shards = [paths.records("tfrecords") / f"train-{shard:05}-of-00008" for shard in range(3)]
    damaged, missing, foreign = map(paths.details, shards)
    boxes = paths.details(paths.bounding_boxes)
    for path in (damaged, boxes):
        flip_a_byte(path, random.Random(1))
    missing.unlink()
    shutil.copy(paths.details(paths.records("tfrecords") / "train-00007-of-00008"), foreign)
    before = {path: path.stat().st_mtime_ns for path in (*shards, paths.bounding_boxes)}
    status, output = verify(data_dir, ilsvrc, "--repair", "true")
    assert_named(status, output, {damaged, missing, foreign, boxes})
    assert_whole_after_a_build(data_dir, built, ilsvrc)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_the_details_of_a_damaged_shard_are_removed_with_it(data_dir: Path, built: Path, ilsvrc: Path) -> None:
    paths = DataSetPaths(data_dir)
    shard = paths.records("tfrecords") / "train-00005-of-00008"
    flip_a_byte(shard, random.Random(1))
    status, output = verify(data_dir, ilsvrc, "--repair", "true")
    assert_named(status, output, {shard})
    assert not paths.details(shard).exists()
    assert_whole_after_a_build(data_dir, built, ilsvrc)


def test_boxes_whose_details_are_damaged_are_made_again_if_nothing_is_left_to_compare_them_with(
    data_dir: Path, built: Path, ilsvrc: Path
) -> None:
    paths = DataSetPaths(data_dir)
    paths.archive(BOUNDING_BOX_ARCHIVE).unlink()
    shutil.rmtree(paths.annotations)
    details = paths.details(paths.bounding_boxes)
    flip_a_byte(details, random.Random(1))
    _, output = verify(data_dir, ilsvrc, "--repair", "true")
    assert details in named(output)
    assert not paths.bounding_boxes.exists()
    assert_whole_after_a_build(data_dir, built, ilsvrc)
