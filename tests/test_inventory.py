from pathlib import Path

import pytest

from luigi_ilsvrc.dataset.archives import ARCHIVES
from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.findings import Kind
from luigi_ilsvrc.inventory import OutputFolder, find_extra, find_unfinished, output_folders
from luigi_ilsvrc.storage.temporary import temporary_path

SYNSETS = ["n01440764", "n02105855"]


@pytest.fixture
def paths(tmp_path: Path) -> DataSetPaths:
    return DataSetPaths(tmp_path)


def make(paths: DataSetPaths, *names: str) -> list[Path]:
    """Make files below the folder of a build."""
    made = [paths.data_dir / name for name in names]
    for path in made:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return made


def extra(paths: DataSetPaths) -> list[tuple[Kind, Path]]:
    folders = output_folders(paths, SYNSETS)
    return [(finding.kind, finding.path) for folder in folders for finding in find_extra(folder)]


def unfinished(paths: DataSetPaths) -> list[Path]:
    return [path for folder in output_folders(paths) for path in find_unfinished(folder)]


# A folder ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> OutputFolder:
    for name in ("known", "known.partial", "known.partial.json", "other", "other.partial", ".hidden"):
        (tmp_path / name).touch()
    return OutputFolder(tmp_path, {"known"}.__contains__)


def test_what_is_neither_of_the_build_nor_unfinished_is_extra(folder: OutputFolder) -> None:
    temporary_path(folder.path / "known").touch()
    unknown = temporary_path(folder.path / "other")
    unknown.touch()
    assert [(finding.kind, finding.path.name) for finding in find_extra(folder)] == [
        (Kind.EXTRA, name) for name in sorted(["other", "other.partial", unknown.name])
    ]


def test_in_a_shared_folder_nothing_is_extra(folder: OutputFolder) -> None:
    assert list(find_extra(OutputFolder(folder.path, folder.is_output, is_shared=True))) == []


def test_only_outputs_can_be_unfinished(folder: OutputFolder) -> None:
    temporary_path(folder.path / "other").touch()
    known = temporary_path(folder.path / "known")
    known.touch()
    assert sorted(find_unfinished(folder)) == sorted(
        [known, folder.path / "known.partial", folder.path / "known.partial.json"]
    )


def test_a_missing_folder_holds_nothing(tmp_path: Path) -> None:
    folder = OutputFolder(tmp_path / "none", {"known"}.__contains__)
    assert list(find_extra(folder)) == []
    assert list(find_unfinished(folder)) == []


# A build -------------------------------------------------------------------------------------------------------------


def test_a_finished_build_holds_nothing_extra(built: Path, ilsvrc: Path) -> None:
    synsets = (ilsvrc / "unique_synsets.txt").read_text().split()
    folders = output_folders(DataSetPaths(built), synsets)
    assert [finding for folder in folders for finding in find_extra(folder)] == []
    assert unfinished(DataSetPaths(built)) == []


def test_a_folder_without_a_build_holds_nothing_extra(paths: DataSetPaths) -> None:
    assert extra(paths) == []


def test_archives_and_those_that_a_repair_removed_are_not_extra(paths: DataSetPaths) -> None:
    names = [f"ilsvrc2012/{archive.local_name}{suffix}" for archive in ARCHIVES for suffix in ("", ".damaged")]
    make(paths, *names)
    assert extra(paths) == []


@pytest.mark.parametrize(
    "name",
    [
        "bounding_boxes.csv",
        "notes.txt",
        "ilsvrc2012/.DS_Store",
        "ilsvrc2012/training_images/n01440764",
        "ilsvrc2012/tfrecords/train-00000-of-00004",
        "ilsvrc2012/index/train",
        "ilsvrc2012/index/validation-folders",
        "ilsvrc2012/index/train-plan-of-00016",
        "ilsvrc2012/index/manifests/training_images/n02105855.csv",
        "ilsvrc2012/index/manifests/index/train-plan-of-00016.csv",
        "ilsvrc2012/index/manifests/validation_images.csv",
        "ilsvrc2012/index/manifests/bounding_boxes.csv.csv",
        "ilsvrc2012/index/manifests/training_images.tar.json",
        "ilsvrc2012/index/manifests/tfrecords/train-00000-of-00004.csv",
        "ilsvrc2012/index/build.json",
        "ilsvrc2012/index/tables/build.json",
        "ilsvrc2012/index/details/bounding_boxes.csv.csv",
        "ilsvrc2012/index/details/tfrecords/train-00000-of-00004.csv",
        "ilsvrc2012/index/locks/bounding_boxes.csv",
        "ilsvrc2012/verification/2026-11-22.json",
        "ilsvrc2012/validation_images/anything",
        "ilsvrc2012/training_bounding_boxes/anything",
    ],
)
def test_what_a_build_may_make_or_another_part_verifies_is_not_extra(paths: DataSetPaths, name: str) -> None:
    make(paths, name)
    assert extra(paths) == []


@pytest.mark.parametrize(
    "name",
    [
        "ilsvrc2012/notes.txt",
        "ilsvrc2012/training_images/n00000001",
        "ilsvrc2012/tfrecords/train-00004-of-00004",
        "ilsvrc2012/index/test",
        "ilsvrc2012/index/train-plan-of-many",
        "ilsvrc2012/index/manifests/unknown.csv",
        "ilsvrc2012/index/manifests/training_images/n00000001.csv",
        "ilsvrc2012/index/manifests/training_images/n01440764",
        "ilsvrc2012/index/manifests/index/unknown.csv",
        "ilsvrc2012/index/details/unknown.csv",
        "ilsvrc2012/index/details/tfrecords/notes.csv",
    ],
)
def test_what_no_task_makes_is_extra(paths: DataSetPaths, name: str) -> None:
    [path] = make(paths, name)
    assert extra(paths) == [(Kind.EXTRA, path)]


@pytest.mark.parametrize(
    "name",
    [
        "ilsvrc2012/tfrecords/train-00000-of-00016",
        "ilsvrc2012/tfrecords/validation-00000-of-00008",
        "ilsvrc2012/index/train-plan-of-00016",
        "ilsvrc2012/index/manifests/tfrecords/train-00000-of-00016.csv",
        "ilsvrc2012/index/manifests/index/train-plan-of-00016.csv",
    ],
)
def test_shards_and_plans_of_other_counts_are_extra_if_the_counts_are_given(paths: DataSetPaths, name: str) -> None:
    [path] = make(paths, name)
    folders = output_folders(paths, SYNSETS, {"train": 8, "validation": 3})
    assert [finding.path for folder in folders for finding in find_extra(folder)] == [path]
    assert extra(paths) == []


def test_plans_of_other_counts_are_not_extra_beside_records_of_a_size_that_are_made_from_them(
    paths: DataSetPaths,
) -> None:
    make(paths, "ilsvrc2012/index/train-plan-of-00016", "ilsvrc2012/tfrecords-short256/train-00000-of-00016")
    folders = output_folders(paths, SYNSETS, {"train": 8, "validation": 3})
    assert [finding.path for folder in folders for finding in find_extra(folder)] == []


@pytest.mark.parametrize(
    "name",
    [
        "bounding_boxes.csv",
        "ilsvrc2012/training_images.tar",
        "ilsvrc2012/validation_images",
        "ilsvrc2012/training_bounding_boxes",
        "ilsvrc2012/training_images/n01440764",
        "ilsvrc2012/tfrecords/train-00000-of-00004",
        "ilsvrc2012/index/train",
        "ilsvrc2012/index/train-plan-of-00016",
        "ilsvrc2012/index/manifests/validation_images.csv",
        "ilsvrc2012/index/manifests/training_images/n01440764.csv",
        "ilsvrc2012/index/manifests/index/train.csv",
        "ilsvrc2012/index/build.json",
        "ilsvrc2012/index/manifests/training_images.tar.json",
        "ilsvrc2012/index/manifests/tfrecords/train-00000-of-00004.csv",
        "ilsvrc2012/tfrecords-dogs-short256/train-00000-of-00004",
        "ilsvrc2012/tfrecords_index-dogs/train-00000-of-00004",
        "ilsvrc2012/report-dogs.html",
        "ilsvrc2012/subsets/dogs/training_images",
        "ilsvrc2012/index/train-plan-dogs-of-00016",
        "ilsvrc2012/index/subsets/dogs.txt",
        "ilsvrc2012/index/begun/tfrecords-dogs-short256-train",
        "ilsvrc2012/index/side_files/tfrecords_index-dogs-TFRecordIndex-train.csv",
        "ilsvrc2012/index/details/tfrecords-dogs/train-00000-of-00004.csv",
        "ilsvrc2012/index/manifests/tfrecords-dogs/train-00000-of-00004.csv",
        "ilsvrc2012/index/manifests/subsets/dogs/training_images.csv",
    ],
)
def test_an_unfinished_output_is_found_wherever_it_lies(paths: DataSetPaths, name: str) -> None:
    [path] = make(paths, str(temporary_path(Path(name))))
    assert extra(paths) == []
    assert unfinished(paths) == [path]


def test_users_files_with_that_ending_are_not_unfinished_outputs(paths: DataSetPaths) -> None:
    make(paths, "thesis.partial", "ilsvrc2012/notes.partial", "ilsvrc2012/tfrecords/mine.partial")
    make(paths, str(temporary_path(Path("ilsvrc2012/notes"))))
    assert unfinished(paths) == []


def test_without_the_table_any_class_folder_may_be_unfinished(paths: DataSetPaths) -> None:
    [path] = make(paths, str(temporary_path(Path("ilsvrc2012/training_images/n00000001"))))
    assert unfinished(paths) == [path]
    assert extra(paths) == [(Kind.EXTRA, path)]


def test_an_unfinished_folder_is_found_like_a_file(paths: DataSetPaths) -> None:
    folder = temporary_path(paths.class_folders("train") / "n01440764")
    folder.mkdir(parents=True)
    (folder / "n01440764_1.JPEG").touch()
    assert unfinished(paths) == [folder]


def test_the_files_of_a_download_that_can_be_resumed_are_unfinished(paths: DataSetPaths) -> None:
    made = make(paths, *(f"ilsvrc2012/training_images.tar{ending}" for ending in (".partial", ".partial.json")))
    assert unfinished(paths) == made
    assert extra(paths) == []
