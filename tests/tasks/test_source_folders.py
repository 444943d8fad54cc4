"""Builds from each form that a source folder may have."""

import hashlib
import os
import shutil
from pathlib import Path

import pytest

from luigi_ilsvrc.dataset.archives import BOUNDING_BOX_ARCHIVE, TRAIN_ARCHIVE
from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.dataset.splits import SPLITS, TRAIN, VALIDATION
from tests.support.in_process import Run, run
from tests.support.running import SHARDS
from tests.support.source_forms import (
    FORMS,
    copy_tables,
    kaggle,
    parquet,
    source_below,
    torchvision,
    write_annotations,
)

pytestmark = pytest.mark.slow

COUNTS = ("--check-counts", "false")


def build(data_dir: Path, source: Path, *options: object) -> Run:
    return run("BuildAll", "--data-dir", data_dir, "--source", source, *SHARDS, *COUNTS, *options)


def verify(data_dir: Path, *options: object) -> Run:
    return run("VerifyBuild", "--data-dir", data_dir, *SHARDS, *COUNTS, *options)


def files_of(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file below a folder, through links."""
    found = {}
    for parent, _, names in os.walk(folder, followlinks=True):
        for name in names:
            path = Path(parent, name)
            found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def what_users_read(data_dir: Path) -> dict[str, dict[str, str]]:
    """Return the files of records, class folders, annotations, tables and boxes."""
    paths = DataSetPaths(data_dir)
    folders = [paths.records("tfrecords"), *map(paths.class_folders, SPLITS), paths.annotations, paths.label_tables]
    csvs = [paths.bounding_boxes, paths.classes]
    return {
        **{folder.name: files_of(folder) for folder in folders},
        "CSVs": {path.name: path.read_text() for path in csvs},
    }


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def kaggles(ilsvrc: Path, tmp_path: Path) -> Path:
    kaggle(ilsvrc, tmp_path / "kaggle")
    return tmp_path / "kaggle"


@pytest.fixture
def folders(ilsvrc: Path, tmp_path: Path) -> Path:
    torchvision(ilsvrc, tmp_path / "folders")
    return tmp_path / "folders"


# The same build ------------------------------------------------------------------------------------------------------


def test_each_form_of_a_source_gives_the_same_build(form: str, ilsvrc: Path, built: Path, tmp_path: Path) -> None:
    FORMS[form](ilsvrc, tmp_path / "source")
    ended = build(tmp_path / "data", source_below(tmp_path / "source", form), "--workers", "2")
    assert ended.is_well, ended.output
    assert what_users_read(tmp_path / "data") == what_users_read(built)
    assert verify(tmp_path / "data").is_well
    again = build(tmp_path / "data", source_below(tmp_path / "source", form))
    assert "Did not run any tasks" in again.output


def test_nothing_of_a_folder_is_copied(folders: Path, tmp_path: Path) -> None:
    assert build(tmp_path / "data", folders).is_well
    paths = DataSetPaths(tmp_path / "data")
    assert all(folder.is_symlink() for folder in paths.class_folders(TRAIN).iterdir())
    assert all(folder.is_symlink() for folder in paths.class_folders(VALIDATION).iterdir())
    assert paths.annotations.resolve() == folders / "Annotations"
    assert not list(paths.dataset.glob("*.tar*"))


def test_the_log_says_what_a_source_holds_and_as_what(kaggles: Path, tmp_path: Path) -> None:
    ended = build(tmp_path / "data", kaggles)
    place = kaggles / "ILSVRC/Data/CLS-LOC/train"
    assert f"source: training images: {place} (Kaggle's tree)" in ended.output


def test_a_build_without_class_folders_reads_the_source_in_place(folders: Path, built: Path, tmp_path: Path) -> None:
    assert build(tmp_path / "data", folders, "--images", "none").is_well
    paths = DataSetPaths(tmp_path / "data")
    assert not any(paths.class_folders(split).exists() for split in SPLITS)
    assert files_of(paths.records("tfrecords")) == files_of(DataSetPaths(built).records("tfrecords"))
    assert verify(tmp_path / "data", "--images", "none").is_well


def test_a_build_without_class_folders_of_archives_is_complete_and_verifies(ilsvrc: Path, tmp_path: Path) -> None:
    assert build(tmp_path / "data", ilsvrc, "--images", "none").is_well
    assert not DataSetPaths(tmp_path / "data").class_folders(TRAIN).exists()
    assert "Did not run any tasks" in build(tmp_path / "data", ilsvrc, "--images", "none").output
    assert verify(tmp_path / "data", "--images", "none").is_well


# Boxes ---------------------------------------------------------------------------------------------------------------


def test_a_source_without_annotations_is_built_without_boxes(folders: Path, tmp_path: Path) -> None:
    shutil.rmtree(folders / "Annotations")
    ended = build(tmp_path / "data", folders, "--bounding-boxes", "false")
    assert ended.is_well, ended.output
    assert not DataSetPaths(tmp_path / "data").bounding_boxes.exists()
    assert verify(tmp_path / "data", "--bounding-boxes", "false").is_well


def test_an_error_of_missing_annotations_names_the_option_to_go_on_without(folders: Path, tmp_path: Path) -> None:
    shutil.rmtree(folders / "Annotations")
    ended = build(tmp_path / "data", folders)
    assert not ended.is_well
    assert ended.is_clear
    assert f"ERROR: BuildAll: {folders}: there are no annotations of training images." in ended.output
    assert "--bounding-boxes false" in ended.output


def test_the_boxes_of_validation_images_are_written_if_the_source_has_them(kaggles: Path, tmp_path: Path) -> None:
    assert build(tmp_path / "data", kaggles).is_well
    lines = DataSetPaths(tmp_path / "data").validation_bounding_boxes.read_text().splitlines()
    assert lines[0] == "ILSVRC2012_val_00000001.JPEG,0.1000,0.1000,0.6000,0.4000"
    assert len(lines) == 25


def test_validation_records_have_boxes_if_they_are_asked_for(kaggles: Path, tmp_path: Path) -> None:
    options = ("--validation-boxes", "true", "--images", "none")
    assert build(tmp_path / "data", kaggles, *options).is_well
    plan = DataSetPaths(tmp_path / "data").plan(VALIDATION, 3) / "00000.csv"
    assert plan.read_text().count("0.1000 0.1000 0.6000 0.4000") == len(plan.read_text().splitlines()) - 1
    assert verify(tmp_path / "data", *options).is_well


@pytest.mark.parametrize("option", ["--bounding-boxes", "--validation-boxes"])
def test_records_with_and_without_boxes_are_not_mixed(option: str, kaggles: Path, tmp_path: Path) -> None:
    begun, then = {"--bounding-boxes": ("false", "true"), "--validation-boxes": ("true", "false")}[option]
    assert build(tmp_path / "data", kaggles, option, begun).is_well
    ended = build(tmp_path / "data", kaggles, option, then)
    assert not ended.is_well
    assert f"{option}: {then}, but" in ended.output
    assert "another --data-dir" in ended.output


# Moved and lost sources ----------------------------------------------------------------------------------------------


def test_a_source_may_move(folders: Path, tmp_path: Path) -> None:
    assert build(tmp_path / "data", folders).is_well
    before = what_users_read(tmp_path / "data")
    moved = folders.rename(tmp_path / "moved")
    ended = build(tmp_path / "data", moved)
    assert ended.is_well, ended.output
    assert what_users_read(tmp_path / "data") == before


def test_a_source_in_another_form_may_take_the_place_of_one(folders: Path, kaggles: Path, tmp_path: Path) -> None:
    assert build(tmp_path / "data", folders, "--images", "none").is_well
    shutil.rmtree(folders)
    (tmp_path / "data/ilsvrc2012/tfrecords/train-00003-of-00008").unlink()
    # Kaggle's validation images are in no folders.
    ended = build(tmp_path / "data", kaggles, "--images", "none")
    assert "ILSVRC2012_val_" in ended.output
    assert not ended.is_well
    assert ended.is_clear


def test_a_source_that_is_gone_is_named_and_nothing_is_downloaded(folders: Path, tmp_path: Path) -> None:
    assert build(tmp_path / "data", folders).is_well
    folders.rename(tmp_path / "away")
    ended = run("BuildAll", "--data-dir", tmp_path / "data", *SHARDS, *COUNTS)
    assert not ended.is_well
    assert ended.is_clear
    assert (
        f"{folders}/train: {tmp_path / 'data'} was begun with this folder of its source, and it is gone" in ended.output
    )
    assert "Download" not in ended.output


def test_another_source_is_not_mixed_in(folders: Path, ilsvrc: Path, tmp_path: Path) -> None:
    assert build(tmp_path / "data", folders).is_well
    torchvision(ilsvrc, tmp_path / "other")
    image = min((tmp_path / "other/train").glob("*/*"))
    image.write_bytes(image.read_bytes() + b"more")
    ended = build(tmp_path / "data", tmp_path / "other")
    assert not ended.is_well
    assert ended.is_clear
    assert image.name in ended.output
    assert "nothing is mixed" in ended.output


def test_a_build_ends_without_the_source_that_it_was_begun_with_if_nothing_is_missing(
    folders: Path, tmp_path: Path
) -> None:
    assert build(tmp_path / "data", folders, "--images", "none", "--bounding-boxes", "false").is_well
    folders.rename(tmp_path / "away")
    options = ("--images", "none", "--bounding-boxes", "false")
    ended = run("BuildAll", "--data-dir", tmp_path / "data", *SHARDS, *COUNTS, *options)
    assert ended.is_well, ended.output


# Broken sources ------------------------------------------------------------------------------------------------------


def lose_synset(source: Path) -> str:
    folder = min((source / "train").iterdir())
    shutil.rmtree(folder)
    return f"{folder}: the class folder cannot be read"


def add_foreign_file(source: Path) -> str:
    folder = min((source / "train").iterdir())
    (folder / "notes.txt").write_text("foreign")
    return f"{folder}: 'notes.txt' is not named <synset>_<n>.JPEG"


def put_file_in_place_of_folder(source: Path) -> str:
    folder = min((source / "train").iterdir())
    shutil.rmtree(folder)
    folder.write_text("a file")
    return f"{folder}: the class folder cannot be read: Not a directory"


def empty_image(source: Path) -> str:
    image = min((source / "train").glob("*/*"))
    image.write_bytes(b"")
    return f"{image.parent}: {image.name} is empty"


def lose_validation_image(source: Path) -> str:
    min((source / "val").glob("*/*")).unlink()
    return f"{source / 'val'} holds 24 validation images"


def sort_image_wrongly(source: Path) -> str:
    image, *_, other = sorted((source / "val").glob("*/*"))
    image.rename(other.parent / image.name)
    return f"{other.parent / image.name}: "


def damage_annotation(source: Path) -> str:
    # The first ones are of a synset outside the challenge.
    path = max((source / "Annotations").glob("*/*"))
    path.write_text("<annotation>")
    return path.stem


BREAKS = [
    lose_synset,
    add_foreign_file,
    put_file_in_place_of_folder,
    empty_image,
    lose_validation_image,
    sort_image_wrongly,
    damage_annotation,
]


@pytest.mark.parametrize("breaks", BREAKS, ids=lambda breaks: breaks.__name__)
def test_a_broken_source_gets_a_clear_error_and_the_next_run_carries_on(
    breaks: object, folders: Path, ilsvrc: Path, built: Path, tmp_path: Path
) -> None:
    assert callable(breaks)
    named = breaks(folders)
    ended = build(tmp_path / "data", folders)
    assert not ended.is_well
    assert ended.is_clear
    assert named in ended.output
    shutil.rmtree(folders)
    torchvision(ilsvrc, folders)
    again = build(tmp_path / "data", folders)
    assert again.is_well, again.output
    assert what_users_read(tmp_path / "data") == what_users_read(built)


def test_an_error_says_what_is_missing_and_where_it_was_looked_for(ilsvrc: Path, tmp_path: Path) -> None:
    copy_tables(ilsvrc, tmp_path / "source")
    write_annotations(ilsvrc, tmp_path / "source" / "Annotations")
    ended = build(tmp_path / "data", tmp_path / "source")
    assert not ended.is_well
    assert ended.is_clear
    line = next(line for line in ended.output.splitlines() if line.startswith("ERROR: BuildAll"))
    assert "there are no training images" in line
    for place in ("ILSVRC2012_img_train.tar", "ILSVRC/Data/CLS-LOC/train", "train", "training_images"):
        assert place in line


def test_a_source_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    ended = build(tmp_path / "data", tmp_path / "none")
    assert not ended.is_well
    assert f"{tmp_path / 'none'}: there is no such folder" in ended.output


def test_an_archive_counts_before_a_folder_beside_it(ilsvrc: Path, folders: Path, tmp_path: Path) -> None:
    for name in (BOUNDING_BOX_ARCHIVE.name, "MD5SUMS"):
        shutil.copy(ilsvrc / name, folders)
    assert build(tmp_path / "data", folders).is_well
    paths = DataSetPaths(tmp_path / "data")
    assert paths.archive(BOUNDING_BOX_ARCHIVE).exists()
    assert not paths.annotations.is_symlink()


def test_a_parquet_file_that_is_cut_is_named_and_the_next_run_carries_on(
    ilsvrc: Path, built: Path, tmp_path: Path
) -> None:
    parquet(ilsvrc, tmp_path / "source")
    cut = min((tmp_path / "source/data").glob("train-*"))
    whole = cut.read_bytes()
    cut.write_bytes(whole[:-100])
    ended = build(tmp_path / "data", tmp_path / "source")
    assert not ended.is_well
    assert ended.is_clear
    assert str(cut) in ended.output
    assert not DataSetPaths(tmp_path / "data").archive(TRAIN_ARCHIVE).exists()
    cut.write_bytes(whole)
    again = build(tmp_path / "data", tmp_path / "source")
    assert again.is_well, again.output
    assert what_users_read(tmp_path / "data") == what_users_read(built)


def test_an_archive_made_of_parquet_files_is_not_mixed_with_the_official_one(ilsvrc: Path, tmp_path: Path) -> None:
    assert build(tmp_path / "data", ilsvrc, "--images", "none").is_well
    DataSetPaths(tmp_path / "data").archive(TRAIN_ARCHIVE).unlink()
    (DataSetPaths(tmp_path / "data").records("tfrecords") / "train-00003-of-00008").unlink()
    parquet(ilsvrc, tmp_path / "source")
    ended = build(tmp_path / "data", tmp_path / "source", "--images", "none")
    assert not ended.is_well
    assert ended.is_clear
    assert "an archive made of parquet files is another one: nothing is mixed" in ended.output


# One source after another --------------------------------------------------------------------------------------------


def test_a_source_that_was_refused_leaves_nothing_behind(
    folders: Path, ilsvrc: Path, built: Path, tmp_path: Path
) -> None:
    shutil.rmtree(folders / "Annotations")
    min((folders / "train").glob("*/*")).unlink()
    assert not build(tmp_path / "data", folders).is_well
    ended = build(tmp_path / "data", ilsvrc)
    assert ended.is_well, ended.output
    assert what_users_read(tmp_path / "data") == what_users_read(built)


def test_archives_come_again_also_if_a_source_of_folders_was_given_meanwhile(
    folders: Path, ilsvrc: Path, built: Path, tmp_path: Path
) -> None:
    paths, options = DataSetPaths(tmp_path / "data"), ("--images", "none")
    assert build(tmp_path / "data", ilsvrc, *options).is_well
    paths.archive(TRAIN_ARCHIVE).unlink()
    assert build(tmp_path / "data", folders, *options).is_well
    (paths.records("tfrecords") / "train-00003-of-00008").unlink()
    ended = build(tmp_path / "data", ilsvrc, *options)
    assert ended.is_well, ended.output
    assert files_of(paths.records("tfrecords")) == files_of(DataSetPaths(built).records("tfrecords"))


def test_the_outputs_of_a_build_are_not_its_source(ilsvrc: Path, built: Path, tmp_path: Path) -> None:
    data_dir = Path(shutil.copytree(ilsvrc, tmp_path / "data"))
    assert build(data_dir, data_dir).is_well
    shutil.rmtree(DataSetPaths(data_dir).annotations)
    ended = build(data_dir, data_dir)
    assert ended.is_well, ended.output
    assert what_users_read(data_dir) == what_users_read(built)


def test_validation_images_that_are_gone_are_not_complete(folders: Path, tmp_path: Path) -> None:
    assert build(tmp_path / "data", folders).is_well
    (folders / "val").rename(folders / "elsewhere")
    ended = build(tmp_path / "data", folders)
    assert not ended.is_well
    assert ended.is_clear
    assert f"{folders}/val: " in ended.output
    (folders / "elsewhere").rename(folders / "val")
    assert build(tmp_path / "data", folders).is_well


def test_other_annotations_are_not_mixed_in(folders: Path, ilsvrc: Path, tmp_path: Path) -> None:
    assert build(tmp_path / "data", folders).is_well
    folders.rename(tmp_path / "away")
    torchvision(ilsvrc, tmp_path / "other")
    for path in sorted((tmp_path / "other/Annotations").glob("*/*"))[-5:]:
        path.unlink()
    ended = build(tmp_path / "data", tmp_path / "other")
    assert not ended.is_well
    assert ended.is_clear
    assert "its boxes are not those of" in ended.output


def test_a_verification_without_the_boxes_of_the_records_is_refused(kaggles: Path, tmp_path: Path) -> None:
    options = ("--validation-boxes", "true", "--images", "none")
    assert build(tmp_path / "data", kaggles, *options).is_well
    ended = verify(tmp_path / "data", "--images", "none", "--repair", "true")
    assert not ended.is_well
    assert "--validation-boxes: false, but" in ended.output
    assert verify(tmp_path / "data", *options).is_well


def test_shards_of_a_plan_that_was_deleted_keep_their_boxes(ilsvrc: Path, tmp_path: Path) -> None:
    paths = DataSetPaths(tmp_path / "data")
    assert build(tmp_path / "data", ilsvrc, "--images", "none").is_well
    shutil.rmtree(paths.plan(TRAIN, 8))
    (paths.records("tfrecords") / "train-00000-of-00008").unlink()
    ended = build(tmp_path / "data", ilsvrc, "--images", "none", "--bounding-boxes", "false")
    assert not ended.is_well
    assert "--bounding-boxes: false, but" in ended.output


def test_class_folders_may_lie_on_another_disk(folders: Path, built: Path, tmp_path: Path) -> None:
    paths = DataSetPaths(tmp_path / "data")
    (tmp_path / "another" / "disk").mkdir(parents=True)
    paths.dataset.mkdir(parents=True)
    paths.class_folders(TRAIN).symlink_to(tmp_path / "another" / "disk")
    ended = build(tmp_path / "data", folders)
    assert ended.is_well, ended.output
    assert what_users_read(tmp_path / "data") == what_users_read(built)


def test_an_image_that_was_added_to_the_source_is_found(folders: Path, tmp_path: Path) -> None:
    assert build(tmp_path / "data", folders).is_well
    image = min((folders / "train").glob("*/*"))
    shutil.copy(image, image.with_name(f"{image.parent.name}_99999.JPEG"))
    ended = verify(tmp_path / "data")
    assert not ended.is_well
    assert f"{image.parent.name}_99999.JPEG: the index does not have it" in ended.output


def test_a_repair_does_not_take_an_image_that_was_changed_in_the_source_for_right(
    folders: Path, built: Path, tmp_path: Path
) -> None:
    assert build(tmp_path / "data", folders).is_well
    image = min((folders / "train").glob("*/*"))
    # Behind the end of the picture: it decodes as before.
    image.write_bytes(image.read_bytes()[:-1] + b"?")
    ended = verify(tmp_path / "data", "--repair", "true")
    assert not ended.is_well
    records = DataSetPaths(tmp_path / "data").records("tfrecords")
    assert files_of(records) == files_of(DataSetPaths(built).records("tfrecords"))


def test_a_rerun_without_the_source_needs_no_space_for_images_that_lie_there(folders: Path, tmp_path: Path) -> None:
    assert build(tmp_path / "data", folders).is_well
    (DataSetPaths(tmp_path / "data").records("tfrecords") / "train-00003-of-00008").unlink()
    ended = run("BuildAll", "--data-dir", tmp_path / "data", *SHARDS, *COUNTS)
    assert ended.is_well, ended.output


def test_nothing_is_to_be_downloaded_of_what_is_read_in_place(folders: Path, tmp_path: Path) -> None:
    ended = run("DownloadTrain", "--data-dir", tmp_path / "data", "--source", folders)
    assert not ended.is_well
    assert f"{folders}/train: the training images are read where they lie; nothing is to be downloaded" in ended.output
