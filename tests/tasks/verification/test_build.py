import json
import random
import re
import shutil
from pathlib import Path

import pytest

from luigi_ilsvrc.dataset.archives import ARCHIVES, TRAIN_ARCHIVE
from luigi_ilsvrc.storage.temporary import temporary_path
from tests.reliability.flip import build_contents, flip_a_byte, named, output_files
from tests.support.abandoned import left_by_a_dead_process
from tests.support.running import contents, times
from tests.tasks.verification.commands import assert_named, assert_whole_after_a_build, build, verifications, verify

pytestmark = pytest.mark.slow

SEED = 2026


def is_record(path: Path) -> bool:
    """Tell whether a file says of others what they are."""
    return path.name in ("build.json", "train-boxes", "validation-boxes") or not {
        "manifests",
        "tables",
        "details",
        "side_files",
    }.isdisjoint(path.parts)


def delete_archives(data_dir: Path) -> None:
    for archive in ARCHIVES:
        (data_dir / "ilsvrc2012" / archive.local_name).unlink()


def finding_of(output: str, path: Path) -> str:
    return next(line for line in output.splitlines() if f" {path}: " in line)


# All is well ---------------------------------------------------------------------------------------------------------


def test_a_whole_build_gives_the_dates_file_and_a_second_run_does_nothing(data_dir: Path, ilsvrc: Path) -> None:
    status, output = verify(data_dir, ilsvrc, "--workers", "2")
    assert status == 0, output
    assert verifications(data_dir) == ["2026-11-22.json"]
    verification = json.loads((data_dir / "ilsvrc2012" / "verification" / "2026-11-22.json").read_text())
    # 90 + 25 images, 40 annotations, three archives, eleven shards, plans and indexes of shards, two files of metadata,
    # 5 + 5 files of index, the CSVs, 3 tables.
    assert verification == {
        "date": "2026-11-22",
        "part": "1/1",
        "images": "auto",
        "formats": ["tfrecord"],
        "shards": {"train": 8, "validation": 3},
        "files": 90 + 25 + 40 + 3 + 11 + 11 + 11 + 2 + 10 + 2 + 3,
        "bytes": sum(path.stat().st_size for path in output_files(data_dir) if not is_record(path)),
        "records": 115,
    }
    before = times(data_dir)
    status, output = verify(data_dir, ilsvrc)
    assert (status, "Did not run any tasks" in output) == (0, True), output
    assert times(data_dir) == before


def test_a_verification_removes_what_dead_ones_left_and_not_what_another_is_at_work_with(
    data_dir: Path, ilsvrc: Path
) -> None:
    folder = data_dir / "ilsvrc2012" / "verification"
    left_by_a_dead_process(folder / "2026-11-21", is_folder=True)
    at_work = temporary_path(folder / "2026-11-22")
    at_work.mkdir()
    status, output = verify(data_dir, ilsvrc)
    assert status == 0, output
    assert verifications(data_dir) == sorted(["2026-11-22.json", at_work.name])


def test_a_build_without_archives_and_with_hidden_files_verifies(data_dir: Path, ilsvrc: Path) -> None:
    delete_archives(data_dir)
    (data_dir / "ilsvrc2012" / ".DS_Store").touch()
    (data_dir / "notes.txt").touch()
    status, output = verify(data_dir, ilsvrc)
    assert status == 0, output


def test_class_folders_that_a_user_brought_verify_without_manifests(data_dir: Path, ilsvrc: Path) -> None:
    delete_archives(data_dir)
    for made in ("tfrecords", "index", "label_tables"):
        shutil.rmtree(data_dir / "ilsvrc2012" / made)
    for made in ("bounding_boxes.csv", "ilsvrc2012/classes.csv"):
        (data_dir / made).unlink()
    assert build(data_dir, ilsvrc)[0] == 0
    image = next((data_dir / "ilsvrc2012" / "training_images").glob("*/*"))
    whole = image.read_bytes()
    image.write_bytes(whole[:-20])
    status, output = verify(data_dir, ilsvrc, "--repair", "true")
    assert_named(status, output, {image})
    assert "no task makes it" in finding_of(output, image)
    assert image.exists()
    image.write_bytes(whole)
    status, output = verify(data_dir, ilsvrc)
    assert status == 0, output


def test_without_shards_the_rest_is_verified(data_dir: Path, ilsvrc: Path) -> None:
    shutil.rmtree(data_dir / "ilsvrc2012" / "tfrecords")
    status, output = verify(data_dir, ilsvrc, "--formats", "none")
    assert status == 0, output


# Something is not ----------------------------------------------------------------------------------------------------


KINDS = (
    *(r"/train/", r"/validation/", r"-plan-", r"manifests/.*images/", r"\.csv$", r"\.xml$", r"/train-0"),
    *(r"manifests/index/train\.csv", r"validation_images/.*JPEG", r"bounding_boxes\.csv$", r"/build\.json$"),
    *(r"/tables/.*\.txt$", r"manifests/.*\.tar\.json$"),
)
"""Patterns of files, of each of which a few are damaged."""


def flip_some(data_dir: Path, *kinds: str, seed: int, files: int = 8) -> set[Path]:
    """Damage some of all files, and one of each kind."""
    print(f"seed {seed}")
    rng = random.Random(seed)
    whole = [path for path in output_files(data_dir) if not re.search(r"\.(tar|gz)$", path.name)]
    flipped = set(rng.sample(whole, files))
    for kind in kinds:
        flipped.add(rng.choice([path for path in output_files(data_dir) if re.search(kind, str(path))]))
    # Of the build's record there are two, so that one can be restored.
    copy = data_dir / "ilsvrc2012" / "index" / "tables" / "build.json"
    if copy in flipped:
        flipped.discard(copy.parents[1] / "build.json")
    for path in sorted(flipped):
        flip_a_byte(path, rng)
    return flipped


def test_exactly_the_damaged_files_are_named_and_after_a_repair_the_build_is_whole(
    data_dir: Path, built: Path, ilsvrc: Path
) -> None:
    flipped = flip_some(data_dir, *KINDS, seed=SEED)
    before = build_contents(data_dir)
    status, output = verify(data_dir, ilsvrc, "--workers", "2")
    assert_named(status, output, flipped)
    assert build_contents(data_dir) == before
    assert verifications(data_dir) == ["2026-11-22-damage.txt"]
    status, output = verify(data_dir, ilsvrc, "--repair", "true")
    assert_named(status, output, flipped)
    assert_whole_after_a_build(data_dir, built, ilsvrc)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_if_archives_are_damaged_too_all_damage_is_named_and_one_repair_is_enough(
    data_dir: Path, built: Path, ilsvrc: Path, seed: int
) -> None:
    flipped = flip_some(data_dir, *KINDS, r"training_images\.tar$", r"\.gz$", seed=seed)
    status, output = verify(data_dir, ilsvrc, "--workers", "2", "--repair", "true")
    assert status == 30, output
    # If neither the archive nor its manifest says what an output has to hold, all of it is named.
    outputs = {path for path in flipped if "manifests" not in path.parts}
    missed = {path for path in outputs if named(output).isdisjoint({path, *path.parents})}
    assert missed == set(), f"{missed}: {output}"
    assert_whole_after_a_build(data_dir, built, ilsvrc)


def test_missing_extra_and_misplaced_files_are_named_with_the_task_that_makes_them(
    data_dir: Path, built: Path, ilsvrc: Path
) -> None:
    dataset = data_dir / "ilsvrc2012"
    first, second = sorted((dataset / "training_images").iterdir())[:2]
    missing = next(first.iterdir())
    missing.unlink()
    shutil.rmtree(second)
    extra = dataset / "validation_images" / first.name / "extra.JPEG"
    shutil.copy(next(extra.parent.iterdir()), extra)
    shards = [dataset / "tfrecords" / f"train-{shard:05}-of-00008" for shard in range(5)]
    swapped = shards[0].read_bytes()
    shutil.copy(shards[1], shards[0])
    shards[1].write_bytes(swapped)
    shards[2].unlink()
    shards[3].write_bytes(shards[3].read_bytes()[:-100])
    whole = shards[4].read_bytes()
    # A record is its length in 8 bytes, a CRC, the contents, a CRC.
    shards[4].write_bytes(whole[16 + int.from_bytes(whole[:8], "little") :])
    partial = left_by_a_dead_process(dataset / "training_images" / first.name, is_folder=True)
    unknown = dataset / "index" / "unknown"
    unknown.touch()
    status, output = verify(data_dir, ilsvrc, "--repair", "true")
    assert_named(status, output, {missing, second, extra, *shards, partial, unknown})
    assert f"made by ExtractTrainPerSynset --synset {first.name} --data-dir {data_dir}" in finding_of(output, missing)
    assert "made by TFRecordShard --split train --shard 2 --num-shards 8" in finding_of(output, shards[2])
    assert "2 files are left" in output
    assert not partial.exists()
    for left in (extra, unknown):
        left.unlink()
    assert build(data_dir, ilsvrc)[0] == 0
    assert build_contents(data_dir) == build_contents(built)


def test_a_folder_without_a_build_is_reported_as_missing_and_nothing_is_built(tmp_path: Path, ilsvrc: Path) -> None:
    status, output = verify(tmp_path, ilsvrc)
    assert status == 30, output
    assert tmp_path / "ilsvrc2012" / "training_images" / "n02105855" in named(output)
    assert tmp_path / "bounding_boxes.csv" in named(output)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["2026-11-22-damage.txt", "ilsvrc2012", "verification"]


# What a repair leaves alone ------------------------------------------------------------------------------------------


def test_an_output_is_not_removed_because_its_manifest_is_gone(data_dir: Path, ilsvrc: Path) -> None:
    manifests = data_dir / "ilsvrc2012" / "index" / "manifests"
    lost = [*manifests.glob("training_images/*.csv"), manifests / "validation_images.csv"]
    for manifest in lost:
        manifest.unlink()
    before = contents(data_dir / "ilsvrc2012" / "training_images")
    status, output = verify(data_dir, ilsvrc, "--repair", "true")
    assert_named(status, output, set(lost))
    assert contents(data_dir / "ilsvrc2012" / "training_images") == before
    assert (data_dir / "ilsvrc2012" / "validation_images").is_dir()


def test_a_damaged_manifest_is_restored_and_its_output_stays(data_dir: Path, ilsvrc: Path) -> None:
    manifest = next((data_dir / "ilsvrc2012" / "index" / "manifests" / "training_images").iterdir())
    whole, before = manifest.read_bytes(), times(data_dir / "ilsvrc2012" / "training_images")
    flip_a_byte(manifest, random.Random(SEED))
    assert verify(data_dir, ilsvrc, "--repair", "true")[0] == 30
    assert manifest.read_bytes() == whole
    assert times(data_dir / "ilsvrc2012" / "training_images") == before


def test_a_folder_that_holds_a_users_file_is_not_removed(data_dir: Path, ilsvrc: Path) -> None:
    image = next((data_dir / "ilsvrc2012" / "training_images").glob("*/*"))
    flip_a_byte(image, random.Random(SEED))
    notes = image.parent / "my_labels.json"
    notes.write_text("{}")
    status, output = verify(data_dir, ilsvrc, "--repair", "true")
    assert_named(status, output, {image, notes})
    assert image.exists()
    assert notes.exists()


def test_an_archive_of_another_sum_is_set_aside_and_not_lost(data_dir: Path, ilsvrc: Path) -> None:
    archive = data_dir / "ilsvrc2012" / TRAIN_ARCHIVE.local_name
    before = archive.read_bytes()
    flip_a_byte(archive, random.Random(SEED))
    damaged = archive.read_bytes()
    status, output = verify(data_dir, ilsvrc, "--repair", "true")
    assert (status, archive in named(output)) == (30, True), output
    assert archive.with_name(f"{archive.name}.damaged").read_bytes() == damaged
    assert build(data_dir, ilsvrc)[0] == 0
    assert archive.read_bytes() == before
    assert not archive.with_name(f"{archive.name}.damaged").exists()


def test_a_verification_without_shards_does_not_stand_for_one_with_shards(data_dir: Path, ilsvrc: Path) -> None:
    assert verify(data_dir, ilsvrc, "--formats", "none")[0] == 0
    shard = data_dir / "ilsvrc2012" / "tfrecords" / "train-00000-of-00008"
    shard.unlink()
    status, output = verify(data_dir, ilsvrc)
    assert_named(status, output, {shard})
