from pathlib import Path

import pytest

from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.dataset.splits import TRAIN, VALIDATION
from luigi_ilsvrc.dataset.synsets import LabelTables, TableError
from luigi_ilsvrc.layouts import class_folders
from luigi_ilsvrc.layouts.index import ImageLocation
from luigi_ilsvrc.layouts.tar import ArchiveError
from tests.layouts.archives import LABELS, SYNSETS

TABLE = Path("labels.txt")


@pytest.fixture
def train(tmp_path: Path) -> Path:
    """Class folders of three training images."""
    folders = tmp_path / "ilsvrc2012" / "training_images"
    for name in ("n01440764_10.JPEG", "n01443537_22.JPEG", "n01443537_3.JPEG"):
        write(folders / name[:9] / name)
    return folders


@pytest.fixture
def validation(tmp_path: Path) -> Path:
    """Class folders of three validation images, as `LABELS` says."""
    folders = tmp_path / "ilsvrc2012" / "validation_images"
    for number, synset in enumerate(LABELS, start=1):
        write(folders / synset / f"ILSVRC2012_val_{number:08}.JPEG")
    return folders


@pytest.fixture
def annotations(tmp_path: Path) -> Path:
    folders = tmp_path / "ilsvrc2012" / "training_bounding_boxes"
    for image in ("n01443537_3", "n01443537_22", "n01440764_10"):
        write(folders / image[:9] / f"{image}.xml")
    return folders


@pytest.fixture
def tables(tmp_path: Path) -> LabelTables:
    for name, lines in (("synsets", SYNSETS), ("labels", LABELS)):
        (tmp_path / name).write_text("".join(f"{line}\n" for line in lines))
    return LabelTables(tmp_path / "synsets", tmp_path / "labels", tmp_path / "none")


def write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"image")


# Training images -----------------------------------------------------------------------------------------------------


def test_every_training_image_is_found_with_its_file(train: Path) -> None:
    assert sorted(class_folders.index_train(train, SYNSETS)) == [
        ImageLocation(name, name[:9], f"training_images/{name[:9]}/{name}", 0, 5)
        for name in ("n01440764_10.JPEG", "n01443537_22.JPEG", "n01443537_3.JPEG")
    ]


def test_hidden_files_are_ignored(train: Path) -> None:
    (train / "n01440764" / ".DS_Store").touch()
    assert len(class_folders.index_train(train, SYNSETS)) == 3


def test_folders_of_other_synsets_than_the_tables_are_ignored(train: Path) -> None:
    assert len(class_folders.index_train(train, SYNSETS[:1])) == 1


def test_the_progress_of_training_images_counts_folders(train: Path) -> None:
    reported: list[tuple[str, int, int | None, str]] = []
    class_folders.index_train(train, SYNSETS, lambda *report: reported.append(report))
    assert [report[1:] for report in reported] == [(1, 2, "folders"), (2, 2, "folders")]


def test_a_missing_class_folder_is_named(train: Path) -> None:
    with pytest.raises(ArchiveError, match=f"{train}/n02105855: .*No such file"):
        class_folders.index_train(train, [*SYNSETS, "n02105855"])


def test_a_class_folder_without_images_is_named(train: Path) -> None:
    (train / "n02105855").mkdir()
    with pytest.raises(ArchiveError, match=f"{train}/n02105855: "):
        class_folders.index_train(train, [*SYNSETS, "n02105855"])


@pytest.mark.parametrize("name", ["notes.txt", "n01443537_1.JPEG", "n01440764_1.png"])
def test_a_file_that_does_not_belong_in_a_class_folder_is_named(train: Path, name: str) -> None:
    write(train / "n01440764" / name)
    with pytest.raises(ArchiveError, match=f"{train}/n01440764: .*{name}"):
        class_folders.index_train(train, SYNSETS)


def test_an_empty_image_in_a_class_folder_is_named(train: Path) -> None:
    (train / "n01440764" / "n01440764_10.JPEG").write_bytes(b"")
    with pytest.raises(ArchiveError, match=r"n01440764_10\.JPEG is empty"):
        class_folders.index_train(train, SYNSETS)


# Validation images ---------------------------------------------------------------------------------------------------


def test_every_validation_image_is_found_in_the_folder_of_its_label(validation: Path) -> None:
    found = class_folders.index_validation(validation, LABELS, TABLE)
    assert sorted((image.name[15:-5], image.synset) for image in found) == [
        (f"{number:08}", synset) for number, synset in enumerate(LABELS, start=1)
    ]


def test_a_validation_image_in_another_folder_than_its_labels_is_named(validation: Path) -> None:
    wrong = ["n01440764", "n01443537", "n01443537"]
    with pytest.raises(ArchiveError, match=rf"{validation}/n0144\d+/ILSVRC2012_val_0000000\d\.JPEG: .*labels\.txt"):
        class_folders.index_validation(validation, wrong, TABLE)


def test_a_missing_validation_image_is_told_by_the_length_of_the_table(validation: Path) -> None:
    (validation / LABELS[0] / "ILSVRC2012_val_00000001.JPEG").unlink()
    with pytest.raises(TableError, match=rf"^labels\.txt:3: .*{validation}.* 2 "):
        class_folders.index_validation(validation, LABELS, TABLE)


def test_the_progress_of_validation_images_counts_folders(validation: Path) -> None:
    reported: list[tuple[str, int, int | None, str]] = []
    class_folders.index_validation(validation, LABELS, TABLE, lambda *report: reported.append(report))
    assert [report[1:] for report in reported] == [(1, 2, "folders"), (2, 2, "folders")]


# Annotations ---------------------------------------------------------------------------------------------------------


def test_annotations_come_sorted_by_the_names_of_their_files(annotations: Path) -> None:
    found = list(class_folders.annotations_in(annotations))
    assert found == [(image[:9], image, b"image") for image in ("n01440764_10", "n01443537_22", "n01443537_3")]


def test_other_files_among_annotations_are_ignored(annotations: Path) -> None:
    write(annotations / "n01440764" / "notes.txt")
    (annotations / ".DS_Store").touch()
    assert len(list(class_folders.annotations_in(annotations))) == 3


def test_a_folder_without_annotations_is_refused(tmp_path: Path) -> None:
    (tmp_path / "Annotation" / "n02105855").mkdir(parents=True)
    (tmp_path / ".DS_Store").touch()
    with pytest.raises(ArchiveError, match=f"^{tmp_path}: .*<synset>/<synset>_<n>.xml"):
        list(class_folders.annotations_in(tmp_path))


# The layout ----------------------------------------------------------------------------------------------------------


def test_training_images_are_there_if_each_synset_has_a_folder(
    train: Path, tables: LabelTables, tmp_path: Path
) -> None:
    paths = DataSetPaths(tmp_path)
    assert class_folders.has_images(paths, TRAIN, tables)
    (train / SYNSETS[0]).rename(train / f"{SYNSETS[0]}.partial")
    assert not class_folders.has_images(paths, TRAIN, tables)


def test_validation_images_are_there_if_their_folder_is(validation: Path, tables: LabelTables, tmp_path: Path) -> None:
    paths = DataSetPaths(tmp_path)
    assert class_folders.has_images(paths, VALIDATION, tables)
    assert not class_folders.has_images(paths, TRAIN, tables)


@pytest.mark.usefixtures("train", "validation")
def test_the_images_of_a_split_are_found_in_its_folders(tables: LabelTables, tmp_path: Path) -> None:
    paths = DataSetPaths(tmp_path)
    found = {split: class_folders.find_images(paths, split, tables) for split in (TRAIN, VALIDATION)}
    assert {image.file.split("/")[0] for image in found[TRAIN]} == {"training_images"}
    assert {image.file.split("/")[0] for image in found[VALIDATION]} == {"validation_images"}


def test_annotations_are_there_if_their_folder_is(tables: LabelTables, tmp_path: Path, annotations: Path) -> None:
    paths = DataSetPaths(tmp_path)
    assert class_folders.has_annotations(paths, TRAIN)
    assert class_folders.annotations_path(paths, TRAIN) == annotations
    assert len(list(class_folders.read_annotations(paths, TRAIN, tables))) == 3
    annotations.rename(annotations.with_name("away"))
    assert not class_folders.has_annotations(paths, TRAIN)
