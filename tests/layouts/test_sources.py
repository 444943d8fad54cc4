from pathlib import Path

import pytest

from luigi_ilsvrc.dataset.splits import TRAIN, VALIDATION
from luigi_ilsvrc.dataset.synsets import SYNSET_ENGLISH_KEY, UNIQUE_SYNSETS, VALIDATION_SYNSET_LABELS
from luigi_ilsvrc.layouts.sources import ANNOTATIONS, IMAGES, PARTS, Part, describe, find, missing, supplied_tables

TRAIN_FOLDER, FLAT_FOLDER = "{}/n01440764/n01440764_1.JPEG", "{}/ILSVRC2012_val_00000001.JPEG"
XML_FOLDER, FLAT_XML_FOLDER = "{}/n01440764/n01440764_1.xml", "{}/ILSVRC2012_val_00000001.xml"


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


@pytest.mark.parametrize(
    ("part", "file", "place", "form"),
    [
        (IMAGES[TRAIN], "ILSVRC2012_img_train.tar", "", "official archives"),
        (IMAGES[VALIDATION], "ILSVRC2012_img_val.tar", "", "official archives"),
        (ANNOTATIONS[TRAIN], "ILSVRC2012_bbox_train_v2.tar.gz", "", "official archives"),
        (ANNOTATIONS[VALIDATION], "ILSVRC2012_bbox_val_v3.tgz", "", "official archives"),
        (IMAGES[TRAIN], TRAIN_FOLDER, "train", "class folders"),
        (IMAGES[TRAIN], TRAIN_FOLDER, "training_images", "class folders"),
        (IMAGES[TRAIN], TRAIN_FOLDER, "ilsvrc2012/training_images", "class folders"),
        (IMAGES[VALIDATION], TRAIN_FOLDER, "val", "class folders"),
        (IMAGES[VALIDATION], FLAT_FOLDER, "val", "class folders"),
        (IMAGES[VALIDATION], FLAT_FOLDER, "validation_images", "class folders"),
        (ANNOTATIONS[TRAIN], XML_FOLDER, "Annotations", "class folders"),
        (ANNOTATIONS[TRAIN], XML_FOLDER, "training_bounding_boxes", "class folders"),
        (ANNOTATIONS[VALIDATION], FLAT_XML_FOLDER, "Annotations/val", "class folders"),
        (IMAGES[TRAIN], TRAIN_FOLDER, "ILSVRC/Data/CLS-LOC/train", "Kaggle's tree"),
        (IMAGES[TRAIN], TRAIN_FOLDER, "Data/CLS-LOC/train", "Kaggle's tree"),
        (IMAGES[VALIDATION], FLAT_FOLDER, "ILSVRC/Data/CLS-LOC/val", "Kaggle's tree"),
        (ANNOTATIONS[TRAIN], XML_FOLDER, "ILSVRC/Annotations/CLS-LOC/train", "Kaggle's tree"),
        (ANNOTATIONS[VALIDATION], FLAT_XML_FOLDER, "Annotations/CLS-LOC/val", "Kaggle's tree"),
    ],
)
def test_a_part_is_recognised_by_where_it_lies_and_what_it_holds(
    tmp_path: Path, part: Part, file: str, place: str, form: str
) -> None:
    touch(tmp_path / file.format(place))
    found = find(tmp_path, part)
    assert found == (form, tmp_path / (place or file))
    assert [other for other in PARTS if find(tmp_path, other) is not None] == [part]


@pytest.mark.parametrize("name", ["train/cats/1.jpg", "val/readme.txt", "Annotations/coco.json", "train"])
def test_folders_of_something_else_are_not_recognised(tmp_path: Path, name: str) -> None:
    touch(tmp_path / name)
    assert describe(tmp_path) == []


def test_a_source_is_described_by_a_line_for_each_part(tmp_path: Path) -> None:
    touch(tmp_path / "ILSVRC2012_img_val.tar")
    touch(tmp_path / TRAIN_FOLDER.format("train"))
    assert describe(tmp_path) == [
        f"training images: {tmp_path}/train (class folders)",
        f"validation images: {tmp_path}/ILSVRC2012_img_val.tar (official archives)",
    ]


def test_an_archive_is_read_otherwise_than_a_folder(tmp_path: Path) -> None:
    touch(tmp_path / "ILSVRC2012_img_val.tar")
    touch(tmp_path / TRAIN_FOLDER.format("train"))
    found = [find(tmp_path, IMAGES[split]) for split in (TRAIN, VALIDATION)]
    assert [it is not None and it.is_read_in_place for it in found] == [True, False]


def test_what_is_missing_is_named_with_the_places_where_it_was_looked_for(tmp_path: Path) -> None:
    message = str(missing(tmp_path, IMAGES[VALIDATION]))
    assert message.startswith(f"{tmp_path}: there are no validation images.")
    assert "ILSVRC2012_img_val.tar, ILSVRC/Data/CLS-LOC/val, Data/CLS-LOC/val, val, validation_images" in message


def test_the_tables_of_a_source_are_those_under_official_names_and_else_kaggles(tmp_path: Path) -> None:
    assert supplied_tables(tmp_path) == {}
    mapping, solution = tmp_path / "LOC_synset_mapping.txt", tmp_path / "LOC_val_solution.csv"
    touch(mapping)
    touch(solution)
    kaggles = {UNIQUE_SYNSETS: mapping, SYNSET_ENGLISH_KEY: mapping, VALIDATION_SYNSET_LABELS: solution}
    assert supplied_tables(tmp_path) == kaggles
    touch(tmp_path / UNIQUE_SYNSETS)
    assert supplied_tables(tmp_path) == {**kaggles, UNIQUE_SYNSETS: tmp_path / UNIQUE_SYNSETS}


def test_kaggles_tables_are_found_beside_the_folder_that_was_given(tmp_path: Path) -> None:
    (tmp_path / "ILSVRC/Data/CLS-LOC").mkdir(parents=True)
    touch(tmp_path / "LOC_synset_mapping.txt")
    assert set(supplied_tables(tmp_path / "ILSVRC")) == {UNIQUE_SYNSETS, SYNSET_ENGLISH_KEY}
