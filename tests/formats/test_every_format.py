"""What every format has to pass: those of the package, and one of the tests' own, `lines`.

That one is added by an entry in `formats.table.FORMATS`, and by nothing else.
"""

import os
import re
import shutil
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from luigi_ilsvrc import BuildAll
from luigi_ilsvrc.cleanup import abandoned_outputs
from luigi_ilsvrc.dataset.archives import TRAIN_ARCHIVE, VALIDATION_ARCHIVE
from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.formats.table import FORMATS, Format
from luigi_ilsvrc.inventory import find_extra, output_folders
from luigi_ilsvrc.tasks.disk_space import bytes_needed
from luigi_ilsvrc.tasks.shards import all_shards_of
from tests.formats import lines
from tests.reliability.flip import named
from tests.reliability.kill import leftovers
from tests.support.abandoned import left_by_a_dead_process
from tests.support.in_process import Run, run
from tests.support.running import LOG_TASKS, SHARDS, contents, times
from tests.support.source_images import train_images, validation_images

NAMES = (*FORMATS, lines.NAME)
COUNTS = {"train": 8, "validation": 3}
RECORDS = 90 + 25
RE_ENCODED_AT_MOST = 10
DATE = ("--date", "2026-11-22")


@pytest.fixture(scope="module", autouse=True)
def in_table() -> Iterator[None]:
    """The table has the tests' format, here and in the forked processes that build."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FORMATS, lines.NAME, lines)
        # So that the command line of a forked process knows the task of one shard.
        all_shards_of(lines.NAME)
        yield


def build(data_dir: Path, ilsvrc: Path, *options: object, formats: str = ",".join(NAMES)) -> Run:
    return run("BuildAll", *places(data_dir, ilsvrc), *SHARDS, "--formats", formats, "--workers", "2", *options)


def verify(data_dir: Path, ilsvrc: Path, *options: object) -> Run:
    formats = ("--formats", ",".join(NAMES))
    return run("VerifyBuild", *places(data_dir, ilsvrc), *SHARDS, *formats, "--workers", "2", *DATE, *options)


def places(data_dir: Path, ilsvrc: Path) -> tuple[object, ...]:
    return ("--data-dir", data_dir, "--source", ilsvrc)


def copy_of(built: Path, directory: Path) -> Path:
    return Path(shutil.copytree(built, directory / "data", copy_function=shutil.copy2))


def folder_of(data_dir: Path, name: str) -> Path:
    return data_dir / "ilsvrc2012" / FORMATS[name].FOLDER


def shard_of(data_dir: Path, name: str, split: str, shard: int) -> Path:
    return folder_of(data_dir, name) / FORMATS[name].shard_name(split, shard, COUNTS[split])


def shards_of(data_dir: Path, name: str) -> list[Path]:
    return [shard_of(data_dir, name, split, shard) for split, count in COUNTS.items() for shard in range(count)]


# Builds that the tests share -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def built_in_all(built: Path, ilsvrc: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A build of TFRecords, and then of all other formats beside them by two worker processes: do not change it."""
    data_dir = copy_of(built, tmp_path_factory.mktemp("every-format"))
    done = build(data_dir, ilsvrc)
    assert done.is_well, done.output
    return data_dir


@pytest.fixture(scope="module")
def originals(ilsvrc: Path) -> set[bytes]:
    """The images of the source, as they lie there."""
    return {contents for images in (train_images, validation_images) for _, _, contents in images(ilsvrc)}


class Repair(NamedTuple):
    """A build that was damaged and repaired: what was said, and what was there in between."""

    data_dir: Path
    found: Run
    there_after_the_repair: set[Path]
    built: Run
    verified: Run


@pytest.fixture(scope="module")
def repair(built_in_all: Path, ilsvrc: Path, originals: set[bytes], tmp_path_factory: pytest.TempPathFactory) -> Repair:
    """Three shards of each format are changed, cut and removed; and before the build, leftovers are put beside them."""
    data_dir = copy_of(built_in_all, tmp_path_factory.mktemp("repair"))
    for name in NAMES:
        changed, cut, missing = to_damage(data_dir, name)
        change_an_image(FORMATS[name], changed, originals)
        os.truncate(cut, cut.stat().st_size - 1)
        missing.unlink()
    found = verify(data_dir, ilsvrc, "--repair", "true")
    there = {path for name in NAMES for path in shards_of(data_dir, name) if path.exists()}
    for name in NAMES:
        left_by_a_dead_process(shard_of(data_dir, name, "train", 6))
    return Repair(data_dir, found, there, build(data_dir, ilsvrc), verify(data_dir, ilsvrc))


def to_damage(data_dir: Path, name: str) -> list[Path]:
    places = [("train", 2), ("train", 4), ("validation", 1)]
    return [shard_of(data_dir, name, split, shard) for split, shard in places]


def change_an_image(record_format: Format, shard: Path, originals: set[bytes]) -> None:
    """Change the last pixels of an image, which still decodes, and write all checksums of the format anew."""
    records = list(record_format.read_records(shard))
    number = next(number for number, record in enumerate(records) if record_format.image_in(record) in originals)
    image = record_format.image_in(records[number])
    changed = image[:-10] + bytes([image[-10] ^ 0x02]) + image[-9:]
    for stored, other in ((image, changed), (b64encode(image), b64encode(changed))):
        records[number] = records[number].replace(stored, other)
    assert record_format.image_in(records[number]) == changed
    frames = [chunk for record in records for chunk in record_format.frame([record])]
    shard.write_bytes(b"".join([*frames, record_format.END]))


# What a build of every format does -----------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
class TestABuild:
    """Every format passes all of these; they run builds."""

    def test_has_its_shards(self, name: str, built_in_all: Path) -> None:
        found = {path for path in folder_of(built_in_all, name).iterdir() if FORMATS[name].is_shard_name(path.name)}
        assert found == set(shards_of(built_in_all, name))

    def test_has_every_image_once_in_the_records(self, name: str, built_in_all: Path, originals: set[bytes]) -> None:
        shards = shards_of(built_in_all, name)
        images = [FORMATS[name].image_in(record) for shard in shards for record in FORMATS[name].read_records(shard)]
        assert len(images) == len(set(images)) == len(originals) == RECORDS
        # Those that the miniature plants as PNG or CMYK are re-encoded.
        assert 0 < len(set(images) - originals) <= RE_ENCODED_AT_MOST

    def test_has_the_same_images_in_the_shard_of_a_number_as_another_format(
        self, name: str, built_in_all: Path
    ) -> None:
        others = shards_of(built_in_all, "tfrecord")
        for ours, other in zip(shards_of(built_in_all, name), others, strict=True):
            images = [FORMATS[name].image_in(record) for record in FORMATS[name].read_records(ours)]
            assert images == [FORMATS["tfrecord"].image_in(it) for it in FORMATS["tfrecord"].read_records(other)]

    def test_in_this_format_alone_makes_each_shard_in_a_process_of_its_own(
        self, name: str, built_in_all: Path, ilsvrc: Path, tmp_path: Path
    ) -> None:
        alone = build(tmp_path, ilsvrc, "--images", "none", *LOG_TASKS, formats=name)
        assert alone.is_well, alone.output
        running = rf"\[pid (\d+)\] Worker .* running   {FORMATS[name].TASK}Shard"
        assert len(set(re.findall(running, alone.output))) == sum(COUNTS.values())
        assert [other for other in NAMES if folder_of(tmp_path, other).exists()] == [name]
        assert contents(folder_of(tmp_path, name)) == contents(folder_of(built_in_all, name))

    def test_of_one_shard_by_its_own_command_makes_that_shard(
        self, name: str, built_in_all: Path, ilsvrc: Path, tmp_path: Path
    ) -> None:
        data_dir = copy_of(built_in_all, tmp_path)
        for shard in shards_of(data_dir, name):
            shard.unlink()
        shard = shard_of(data_dir, name, "train", 3)
        options = ("--split", "train", "--shard", "3", "--num-shards", "8")
        made = run(f"{FORMATS[name].TASK}Shard", *options, *places(data_dir, ilsvrc))
        assert made.is_well, made.output
        assert [path for path in shards_of(data_dir, name) if path.exists()] == [shard]
        assert shard.read_bytes() == shard_of(built_in_all, name, "train", 3).read_bytes()

    def test_that_is_damaged_is_found_and_what_makes_it_is_named(self, name: str, repair: Repair) -> None:
        assert repair.found.status == 30, repair.found.output
        beside = {folder_of(repair.data_dir, name)}
        found = {path for path in named(repair.found.output) if path.parent in beside}
        assert found == set(to_damage(repair.data_dir, name)), repair.found.output
        for options in ("--split train --shard 2 --num-shards 8", "--split validation --shard 1 --num-shards 3"):
            assert f"{FORMATS[name].TASK}Shard {options}" in repair.found.output

    def test_that_holds_another_image_is_found_by_the_image_of_the_source(self, name: str, repair: Repair) -> None:
        changed = re.escape(str(to_damage(repair.data_dir, name)[0]))
        reason = r"record \d+, planned as (\S+): its image is not \1 of the source;"
        assert re.search(f"damaged {changed}: {reason}", repair.found.output), repair.found.output

    def test_that_is_damaged_loses_those_shards_alone_by_a_repair(self, name: str, repair: Repair) -> None:
        there = [path for path in shards_of(repair.data_dir, name) if path in repair.there_after_the_repair]
        assert set(shards_of(repair.data_dir, name)) - set(there) == set(to_damage(repair.data_dir, name))

    def test_after_a_repair_is_whole_again(self, name: str, repair: Repair, built_in_all: Path) -> None:
        assert repair.built.is_well, repair.built.output
        assert contents(folder_of(repair.data_dir, name)) == contents(folder_of(built_in_all, name))


@pytest.mark.parametrize("name", NAMES)
class TestTheFolderOfShards:
    """Every format passes all of these too; they run nothing."""

    def test_takes_as_much_disk_space_as_the_archive(self, name: str, ilsvrc: Path, tmp_path: Path) -> None:
        needs = bytes_needed(planned(name, ilsvrc, tmp_path))
        assert needs[folder_of(tmp_path, name) / "train"] == os.path.getsize(ilsvrc / TRAIN_ARCHIVE.name)
        assert needs[folder_of(tmp_path, name) / "validation"] == os.path.getsize(ilsvrc / VALIDATION_ARCHIVE.name)

    def test_takes_no_more_disk_space_for_shards_that_are_there(self, name: str, ilsvrc: Path, tmp_path: Path) -> None:
        folder_of(tmp_path, name).mkdir(parents=True)
        for shard in range(4):
            shard_of(tmp_path, name, "train", shard).touch()
        needs = bytes_needed(planned(name, ilsvrc, tmp_path))
        assert needs[folder_of(tmp_path, name) / "train"] == os.path.getsize(ilsvrc / TRAIN_ARCHIVE.name) // 2

    def test_has_leftovers_that_are_unfinished_shards_and_nothing_else(self, name: str, tmp_path: Path) -> None:
        folder_of(tmp_path, name).mkdir(parents=True)
        shard_of(tmp_path, name, "train", 0).touch()
        left = left_by_a_dead_process(shard_of(tmp_path, name, "train", 1))
        left_by_a_dead_process(folder_of(tmp_path, name) / "notes")
        assert list(abandoned_outputs(DataSetPaths(tmp_path), max_age=3600)) == [left]

    def test_has_extra_files_if_their_names_are_not_those_of_shards(self, name: str, tmp_path: Path) -> None:
        folder_of(tmp_path, name).mkdir(parents=True)
        for path in shards_of(tmp_path, name):
            path.touch()
        extra = shard_of(tmp_path, name, "train", 0).with_name("train-0")
        extra.touch()
        found = [finding.path for item in output_folders(DataSetPaths(tmp_path)) for finding in find_extra(item)]
        assert found == [extra]


def planned(name: str, ilsvrc: Path, data_dir: Path) -> BuildAll:
    counts = {"train_shards": COUNTS["train"], "validation_shards": COUNTS["validation"]}
    return BuildAll(data_dir=data_dir, source=str(ilsvrc), formats=name, **counts)


# What a build of several formats does --------------------------------------------------------------------------------


@pytest.mark.slow
def test_formats_beside_one_that_was_built_leave_it_as_it_is(built: Path, built_in_all: Path) -> None:
    found = contents(built_in_all)
    assert {name: found[name] for name in contents(built)} == contents(built)


@pytest.mark.slow
def test_a_second_build_in_every_format_does_nothing(built_in_all: Path, ilsvrc: Path, tmp_path: Path) -> None:
    data_dir = copy_of(built_in_all, tmp_path)
    before = times(data_dir)
    again = build(data_dir, ilsvrc)
    assert (again.status, "Did not run any tasks" in again.output) == (0, True), again.output
    assert times(data_dir) == before


@pytest.mark.slow
def test_damage_in_every_format_is_found_and_nothing_else_is_named(repair: Repair) -> None:
    damaged = {path for name in NAMES for path in to_damage(repair.data_dir, name)}
    assert named(repair.found.output) == damaged, repair.found.output


@pytest.mark.slow
def test_after_a_repair_a_build_removes_leftovers_and_verifies(repair: Repair) -> None:
    assert leftovers(repair.data_dir) == []
    assert repair.verified.is_well, repair.verified.output
    assert f"{RECORDS * len(NAMES)} records" in repair.verified.output
