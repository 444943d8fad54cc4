import shutil
from pathlib import Path

import pytest

from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.dataset.synsets import PACKAGED_TABLES, UNIQUE_SYNSETS, read_synsets
from luigi_ilsvrc.datasets import DatasetError, image_folder
from luigi_ilsvrc.formats.plan import read_plan


def write_files(data_dir: Path, *names: str) -> Path:
    """Make training images of these names, below their class folders; return the folder of the class folders."""
    folders = DataSetPaths(data_dir).class_folders("train")
    for name in names:
        (folders / name).parent.mkdir(parents=True, exist_ok=True)
        (folders / name).touch()
    return folders


def error(data_dir: Path, split: str = "train") -> str:
    with pytest.raises(DatasetError) as caught:
        image_folder(data_dir, split)
    [line] = str(caught.value).splitlines()
    return line


# torchvision's order -------------------------------------------------------------------------------------------------

ODD_NAMES = ("b/2.JPEG", "b/10.JPEG", "b/1.jpg", "a/z/1.JPEG", "a/B.JPEG", "a/a.JPEG", "a/notes.txt", "B/1.png")


def test_classes_are_sorted_by_folder_and_files_by_name_within_each(tmp_path: Path) -> None:
    folders = write_files(tmp_path, *ODD_NAMES)
    (folders / "README").touch()
    found = image_folder(tmp_path, "train")
    assert found.classes == ["B", "a", "b"]
    assert found.class_to_idx == {"B": 0, "a": 1, "b": 2}
    assert found.samples == [
        (f"{folders}/{name}", label)
        for name, label in [
            ("B/1.png", 0),
            *(("a/B.JPEG", 1), ("a/a.JPEG", 1), ("a/z/1.JPEG", 1)),
            *(("b/1.jpg", 2), ("b/10.JPEG", 2), ("b/2.JPEG", 2)),
        ]
    ]


def test_torchvision_itself_finds_the_same_in_odd_folders(tmp_path: Path) -> None:
    datasets = pytest.importorskip("torchvision.datasets")
    theirs = datasets.ImageFolder(str(write_files(tmp_path, *ODD_NAMES)))
    ours = image_folder(tmp_path, "train")
    assert (ours.classes, ours.class_to_idx) == (theirs.classes, theirs.class_to_idx)
    assert (ours.samples, ours.targets) == (theirs.samples, theirs.targets)


@pytest.mark.slow
@pytest.mark.parametrize("split", ["train", "validation"])
def test_torchvision_itself_finds_the_same_in_a_build(built: Path, split: str) -> None:
    datasets = pytest.importorskip("torchvision.datasets")
    theirs = datasets.ImageFolder(str(DataSetPaths(built).class_folders(split)))
    ours = image_folder(built, split)
    assert (ours.classes, ours.samples) == (theirs.classes, theirs.samples)


# What is returned ----------------------------------------------------------------------------------------------------


def test_it_is_a_sequence_of_paths_and_labels(tmp_path: Path) -> None:
    folders = write_files(tmp_path, "n2/1.JPEG", "n1/1.JPEG")
    images = image_folder(str(tmp_path), "train")
    assert len(images) == 2
    assert images[1] == (str(folders / "n2" / "1.JPEG"), 1)
    assert list(images) == images.samples
    assert images.targets == [0, 1]


@pytest.mark.slow
def test_labels_are_those_of_the_records_less_1(built: Path) -> None:
    for split, num_shards in {"train": 8, "validation": 3}.items():
        directory = DataSetPaths(built).plan(split, num_shards)
        planned = {
            image.location.name: image.label for shard in range(num_shards) for image in read_plan(directory, shard)
        }
        assert {Path(path).name: label + 1 for path, label in image_folder(built, split)} == planned


def test_the_packaged_table_is_sorted_so_that_labels_agree() -> None:
    synsets = read_synsets(PACKAGED_TABLES / UNIQUE_SYNSETS)
    assert synsets == sorted(synsets)


# Errors --------------------------------------------------------------------------------------------------------------


def test_a_folder_without_a_build_is_named(tmp_path: Path) -> None:
    assert error(tmp_path / "none") == f"{tmp_path}/none: there is no build in this folder, which has no ilsvrc2012/"


def test_a_build_without_class_folders_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "ilsvrc2012").mkdir()
    assert "/validation_images: the class folders cannot be read: No such file" in error(tmp_path, "validation")


def test_a_word_that_is_no_split_is_refused_with_those_that_are(tmp_path: Path) -> None:
    assert error(tmp_path, "test") == "split: 'test' is none of 'train', 'validation'"


def test_a_class_folder_without_images_is_an_error(tmp_path: Path) -> None:
    write_files(tmp_path, "n1/1.JPEG", "n2/notes.txt")
    assert "/training_images/n2: there is no image in this class folder; delete it and run" in error(tmp_path)


@pytest.mark.slow
def test_a_missing_class_folder_is_named_as_it_would_change_the_labels_behind_it(data_dir: Path) -> None:
    synset = image_folder(data_dir, "train").classes[2]
    shutil.rmtree(DataSetPaths(data_dir).class_folders("train") / synset)
    assert f"/training_images: 1 of 5 class folders are missing: {synset}; run BuildAll again" in error(data_dir)


@pytest.mark.slow
def test_a_folder_that_is_no_class_is_named(data_dir: Path) -> None:
    write_files(data_dir, ".ipynb_checkpoints/1.JPEG")
    assert "/training_images: there are folders that are none of the 5 classes: .ipynb_checkpoints; delete" in error(
        data_dir
    )
