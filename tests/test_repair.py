from pathlib import Path

import pytest

from luigi_ilsvrc.dataset.archives import TRAIN_ARCHIVE
from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.findings import Finding, Kind
from luigi_ilsvrc.repair import Repair, repair
from luigi_ilsvrc.storage.manifest import Manifest, read_files, serialize_manifest
from tests.support.running import times

TASK = "ExtractTrainPerSynset --synset n01440764"


@pytest.fixture
def paths(tmp_path: Path) -> DataSetPaths:
    return DataSetPaths(tmp_path)


@pytest.fixture
def folder(paths: DataSetPaths) -> Path:
    """A class folder of two images, with its manifest."""
    folder = paths.class_folders("train") / "n01440764"
    for name in ("n01440764_1.JPEG", "n01440764_2.JPEG"):
        touch(folder / name, b"image")
    manifest = paths.manifest(folder)
    manifest.parent.mkdir(parents=True)
    manifest.write_bytes(serialize_manifest(Manifest(read_files(folder))))
    return folder


def touch(path: Path, contents: bytes = b"") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(contents)
    return path


def damaged(path: Path, *to_remove: Path) -> Finding:
    return Finding(Kind.DAMAGED, path, "its bytes are not those that were written", TASK, to_remove)


def extra(path: Path) -> Finding:
    return Finding(Kind.EXTRA, path, "the build did not write it")


# What is removed -----------------------------------------------------------------------------------------------------


def test_a_damaged_output_is_removed_with_its_manifest(folder: Path, paths: DataSetPaths) -> None:
    manifest = paths.manifest(folder)
    assert repair([damaged(folder / "n01440764_1.JPEG", folder, manifest)], paths) == Repair(2, 0, 0)
    assert not folder.exists()
    assert not manifest.exists()


def test_an_output_with_several_damaged_files_is_removed_once(folder: Path, paths: DataSetPaths) -> None:
    findings = [damaged(folder / f"n01440764_{number}.JPEG", folder, paths.manifest(folder)) for number in (1, 2)]
    assert repair(findings, paths).removed == 2


def test_a_damaged_file_that_is_an_output_by_itself_is_removed(paths: DataSetPaths) -> None:
    shard = touch(paths.records("tfrecords") / "train-00000-of-00008")
    assert repair([damaged(shard, shard)], paths) == Repair(1, 0, 0)
    assert not shard.exists()


def test_outputs_without_damage_stay(folder: Path, paths: DataSetPaths) -> None:
    other = touch(paths.class_folders("train") / "n02105855" / "n02105855_1.JPEG")
    repair([damaged(folder / "n01440764_1.JPEG", folder)], paths)
    assert other.exists()


def test_an_output_that_is_gone_already_does_not_count(folder: Path, paths: DataSetPaths) -> None:
    missing = paths.class_folders("train") / "n02105855"
    finding = Finding(Kind.MISSING, missing, "there is no such output", TASK, (missing, paths.manifest(missing)))
    assert repair([finding], paths) == Repair(0, 0, 0)


def test_of_a_link_only_the_link_is_removed(folder: Path, paths: DataSetPaths, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)
    assert repair([damaged(folder / "n01440764_1.JPEG", folder)], paths).removed == 1
    assert not folder.is_symlink()
    assert (elsewhere / "n01440764_1.JPEG").exists()


def test_a_damaged_archive_goes_into_quarantine(paths: DataSetPaths) -> None:
    archive = touch(paths.archive(TRAIN_ARCHIVE), b"damaged")
    assert repair([damaged(archive, archive)], paths) == Repair(1, 0, 0)
    assert not archive.exists()
    assert paths.quarantine(TRAIN_ARCHIVE).read_bytes() == b"damaged"


def test_an_archive_in_quarantine_gives_way_to_the_next(paths: DataSetPaths) -> None:
    archive = touch(paths.archive(TRAIN_ARCHIVE), b"second")
    touch(paths.quarantine(TRAIN_ARCHIVE), b"first")
    repair([damaged(archive, archive)], paths)
    assert paths.quarantine(TRAIN_ARCHIVE).read_bytes() == b"second"


def test_an_archive_that_is_missing_keeps_what_is_in_quarantine(paths: DataSetPaths) -> None:
    archive = paths.archive(TRAIN_ARCHIVE)
    touch(paths.quarantine(TRAIN_ARCHIVE), b"first")
    finding = Finding(Kind.MISSING, archive, "it has not been downloaded again", "DownloadTrain", (archive,))
    assert repair([finding], paths) == Repair(0, 0, 0)
    assert paths.quarantine(TRAIN_ARCHIVE).read_bytes() == b"first"


# What is restored ----------------------------------------------------------------------------------------------------


@pytest.fixture
def substitute(folder: Path, paths: DataSetPaths) -> Path:
    """What a verification wrote to take the place of the manifest of the class folder."""
    return touch(paths.verifications / "run" / "manifest.csv", paths.manifest(folder).read_bytes())


@pytest.mark.parametrize("damaged_contents", [b"", b"other", None])
def test_a_damaged_or_missing_manifest_of_an_output_that_is_right_is_restored(
    folder: Path, paths: DataSetPaths, substitute: Path, damaged_contents: bytes | None
) -> None:
    manifest, before = paths.manifest(folder), times(folder)
    manifest.unlink()
    if damaged_contents is not None:
        manifest.write_bytes(damaged_contents)
    finding = Finding(Kind.DAMAGED, manifest, "it is damaged", TASK, substitute=substitute)
    assert repair([finding], paths) == Repair(0, 1, 0)
    assert manifest.read_bytes() == substitute.read_bytes()
    assert times(folder) == before


def test_a_manifest_is_not_restored_if_its_output_is_removed(
    folder: Path, paths: DataSetPaths, substitute: Path
) -> None:
    manifest = paths.manifest(folder)
    restorable = Finding(Kind.DAMAGED, manifest, "it is damaged", TASK, substitute=substitute)
    repair([restorable, damaged(folder / "n01440764_1.JPEG", folder, manifest)], paths)
    assert not folder.exists()
    assert not manifest.exists()


def test_a_link_in_the_place_of_a_manifest_is_replaced_and_not_followed(
    folder: Path, paths: DataSetPaths, substitute: Path, tmp_path: Path
) -> None:
    manifest = paths.manifest(folder)
    manifest.unlink()
    manifest.symlink_to(touch(tmp_path / "elsewhere", b"mine"))
    repair([Finding(Kind.DAMAGED, manifest, "it is damaged", TASK, substitute=substitute)], paths)
    assert (tmp_path / "elsewhere").read_bytes() == b"mine"
    assert not manifest.is_symlink()


def test_a_missing_manifest_removes_nothing(folder: Path, paths: DataSetPaths) -> None:
    manifest = paths.manifest(folder)
    manifest.unlink()
    finding = Finding(Kind.MISSING, manifest, "the manifest is gone", TASK)
    assert repair([finding], paths) == Repair(0, 0, 0)
    assert folder.exists()


def test_what_could_not_be_read_is_not_removed(folder: Path, paths: DataSetPaths) -> None:
    finding = Finding(Kind.UNREADABLE, folder / "n01440764_1.JPEG", "it cannot be read")
    assert repair([finding], paths).removed == 0
    assert folder.exists()


# What is left --------------------------------------------------------------------------------------------------------


def test_a_file_that_no_task_makes_is_left_and_counted(paths: DataSetPaths) -> None:
    notes = touch(paths.dataset / "notes.txt")
    assert repair([extra(notes)], paths) == Repair(0, 0, 1)
    assert notes.exists()


def test_an_output_that_holds_a_users_file_stays_with_its_manifest(folder: Path, paths: DataSetPaths) -> None:
    notes = touch(folder / "my_labels.json")
    findings = [damaged(folder / "n01440764_1.JPEG", folder, paths.manifest(folder)), extra(notes)]
    assert repair(findings, paths).left == 1
    assert notes.exists()
    assert (folder / "n01440764_1.JPEG").exists()
    assert paths.manifest(folder).exists()


def test_a_leftover_is_not_counted_as_left(paths: DataSetPaths) -> None:
    leftover = touch(paths.dataset / "validation_images.partial")
    assert repair([Finding(Kind.LEFTOVER, leftover, "a process died")], paths) == Repair(0, 0, 0)


def test_a_users_damaged_image_is_left_and_counted(paths: DataSetPaths) -> None:
    image = touch(paths.class_folders("train") / "n01440764" / "n01440764_1.JPEG", b"<html>")
    assert repair([Finding(Kind.DAMAGED, image, "neither JPEG nor PNG")], paths) == Repair(0, 0, 1)
    assert image.exists()


def test_a_users_image_that_is_missing_is_not_counted_as_left(paths: DataSetPaths) -> None:
    image = paths.class_folders("train") / "n01440764" / "n01440764_1.JPEG"
    assert repair([Finding(Kind.MISSING, image, "it is gone")], paths) == Repair(0, 0, 0)


def test_nothing_found_repairs_nothing(paths: DataSetPaths) -> None:
    assert repair([], paths) == Repair(0, 0, 0)


# What is said --------------------------------------------------------------------------------------------------------


def test_a_repair_gives_its_numbers_and_the_next_command() -> None:
    text = str(Repair(removed=3, restored=2, left=7))
    assert all(part in text for part in ("3 ", "2 ", "7 ", "BuildAll"))


def test_a_repair_that_leaves_nothing_says_nothing_of_it() -> None:
    assert " 0 " not in str(Repair(removed=3, restored=2, left=0))
