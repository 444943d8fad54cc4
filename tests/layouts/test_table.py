from pathlib import Path

import pytest

from luigi_ilsvrc.dataset.archives import BOUNDING_BOX_ARCHIVE, TRAIN_ARCHIVE, VALIDATION_ARCHIVE
from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.dataset.splits import SPLITS, TRAIN, VALIDATION
from luigi_ilsvrc.dataset.synsets import LabelTables
from luigi_ilsvrc.layouts import class_folders, official
from luigi_ilsvrc.layouts.table import LAYOUTS, has_images, layout_of_annotations, layout_of_images
from tests.layouts.archives import LABELS, SYNSETS

ARCHIVES = {TRAIN: TRAIN_ARCHIVE, VALIDATION: VALIDATION_ARCHIVE}


@pytest.fixture
def paths(tmp_path: Path) -> DataSetPaths:
    paths = DataSetPaths(tmp_path)
    paths.dataset.mkdir()
    return paths


@pytest.fixture
def tables(tmp_path: Path) -> LabelTables:
    for name, lines in (("synsets", SYNSETS), ("labels", LABELS)):
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines))
    return LabelTables(tmp_path / "synsets", tmp_path / "labels", tmp_path / "none")


def make_class_folders(paths: DataSetPaths, split: str) -> None:
    for synset in SYNSETS:
        (paths.class_folders(split) / synset).mkdir(parents=True)


@pytest.mark.parametrize("split", SPLITS)
def test_without_any_images_the_archive_is_to_be_indexed(paths: DataSetPaths, tables: LabelTables, split: str) -> None:
    assert layout_of_images(paths, split, tables) is official
    assert not has_images(paths, split, tables)


@pytest.mark.parametrize("split", SPLITS)
def test_class_folders_are_indexed_if_there_is_nothing_else(
    paths: DataSetPaths, tables: LabelTables, split: str
) -> None:
    make_class_folders(paths, split)
    assert layout_of_images(paths, split, tables) is class_folders
    assert has_images(paths, split, tables)


@pytest.mark.parametrize("split", SPLITS)
def test_the_archive_counts_before_class_folders(paths: DataSetPaths, tables: LabelTables, split: str) -> None:
    make_class_folders(paths, split)
    paths.archive(ARCHIVES[split]).touch()
    assert layout_of_images(paths, split, tables) is official


@pytest.mark.parametrize("split", SPLITS)
def test_an_archive_that_was_indexed_and_deleted_counts_still(
    paths: DataSetPaths, tables: LabelTables, split: str
) -> None:
    make_class_folders(paths, split)
    paths.index(split).mkdir(parents=True)
    assert layout_of_images(paths, split, tables) is official


@pytest.mark.parametrize("split", SPLITS)
def test_an_archive_that_a_repair_removed_counts_still(paths: DataSetPaths, tables: LabelTables, split: str) -> None:
    make_class_folders(paths, split)
    paths.quarantine(ARCHIVES[split]).touch()
    assert layout_of_images(paths, split, tables) is official


def test_the_layout_of_one_split_says_nothing_of_the_other(paths: DataSetPaths, tables: LabelTables) -> None:
    make_class_folders(paths, TRAIN)
    assert layout_of_images(paths, VALIDATION, tables) is official
    assert not has_images(paths, VALIDATION, tables)


def test_class_folders_that_the_build_is_extracting_do_not_count(paths: DataSetPaths, tables: LabelTables) -> None:
    (paths.class_folders(TRAIN) / SYNSETS[0]).mkdir(parents=True)
    assert layout_of_images(paths, TRAIN, tables) is official
    assert not has_images(paths, TRAIN, tables)


def test_annotations_are_read_from_their_folders_if_there_is_no_archive(paths: DataSetPaths) -> None:
    assert layout_of_annotations(paths, TRAIN) is official
    paths.annotations.mkdir()
    assert layout_of_annotations(paths, TRAIN) is class_folders


def test_annotations_are_read_from_the_archive_if_there_are_both(paths: DataSetPaths) -> None:
    paths.annotations.mkdir()
    paths.archive(BOUNDING_BOX_ARCHIVE).touch()
    assert layout_of_annotations(paths, TRAIN) is official


def test_each_layout_has_an_index_of_its_own() -> None:
    suffixes = [layout.INDEX_SUFFIX for layout in LAYOUTS.values()]
    assert len(set(suffixes)) == len(suffixes)
