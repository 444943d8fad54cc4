from pathlib import Path

import pytest

from luigi_ilsvrc.dataset.annotations import Annotation
from luigi_ilsvrc.extract import extract_annotations, extract_sorted, extract_synset
from luigi_ilsvrc.layouts import official
from luigi_ilsvrc.layouts.index import ImageLocation
from luigi_ilsvrc.layouts.reader import ImageReader
from luigi_ilsvrc.layouts.tar import ArchiveError
from luigi_ilsvrc.storage.disk import DiskError
from luigi_ilsvrc.storage.manifest import read_files
from tests.layouts.archives import LABELS, SYNSETS, annotation_tar, train_tar, validation_tar

FISH = "n01443537"


@pytest.fixture
def reader(tmp_path: Path) -> ImageReader:
    (tmp_path / "training_images.tar").write_bytes(train_tar())
    (tmp_path / "validation_images.tar").write_bytes(validation_tar())
    return ImageReader(tmp_path, tmp_path / "training_images")


@pytest.fixture
def fish(reader: ImageReader, tmp_path: Path) -> list[ImageLocation]:
    """Where the two images of a synset lie, of 1200 and of 4 bytes."""
    locations = official.index_train(tmp_path / "training_images.tar", SYNSETS)
    return [location for location in locations if location.synset == FISH]


@pytest.fixture
def validation(reader: ImageReader, tmp_path: Path) -> list[ImageLocation]:
    return official.index_validation(tmp_path / "validation_images.tar", LABELS, Path("labels.txt"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "output"
    folder.mkdir()
    return folder


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# Training images -----------------------------------------------------------------------------------------------------


def test_the_images_of_a_synset_are_extracted_byte_for_byte(
    reader: ImageReader, fish: list[ImageLocation], folder: Path
) -> None:
    with reader:
        extract_synset(reader, fish, folder)
    assert files_in(folder) == {"n01443537_22.JPEG": b"fish" * 300, "n01443537_3.JPEG": b"gold"}


def test_the_entries_of_a_synset_are_what_reading_it_again_gives(
    reader: ImageReader, fish: list[ImageLocation], folder: Path
) -> None:
    with reader:
        entries = extract_synset(reader, fish, folder)
    assert entries == read_files(folder)


def test_the_progress_of_a_synset_counts_images(reader: ImageReader, fish: list[ImageLocation], folder: Path) -> None:
    reported: list[tuple[str, int, int | None, str]] = []
    with reader:
        extract_synset(reader, fish, folder, lambda *report: reported.append(report))
    assert [report[1:] for report in reported] == [(1, 2, "images"), (2, 2, "images")]


class NotingReader(ImageReader):
    """Notes the offsets that are read."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, directory)
        self.offsets: list[int] = []

    def read(self, location: ImageLocation) -> bytes:
        self.offsets.append(location.offset)
        return super().read(location)


def test_images_are_read_in_the_order_of_the_archive(fish: list[ImageLocation], folder: Path, tmp_path: Path) -> None:
    noting = NotingReader(tmp_path)
    with noting:
        extract_synset(noting, sorted(fish, key=lambda image: -image.offset), folder)
    assert noting.offsets == sorted(noting.offsets)


def test_an_image_that_cannot_be_read_is_an_archive_error(
    reader: ImageReader, fish: list[ImageLocation], folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "training_images.tar").unlink()
    with reader, pytest.raises(ArchiveError, match=f"{tmp_path}/training_images.tar"):
        extract_synset(reader, fish, folder)


def test_images_that_will_not_fit_are_refused_before_the_first_is_written(
    reader: ImageReader, fish: list[ImageLocation], folder: Path
) -> None:
    large = fish[1]._replace(size=10**18)
    with reader, pytest.raises(DiskError, match="1,000,000,000,000,001,200 bytes"):
        extract_synset(reader, [fish[0], large], folder)
    assert files_in(folder) == {}


# Validation images ---------------------------------------------------------------------------------------------------


def test_validation_images_are_extracted_into_the_folders_of_their_labels(
    reader: ImageReader, validation: list[ImageLocation], folder: Path
) -> None:
    with reader:
        extract_sorted(reader, validation, folder)
    assert files_in(folder) == {
        f"{synset}/ILSVRC2012_val_{number:08}.JPEG": bytes([number]) * 600
        for number, synset in enumerate(LABELS, start=1)
    }


def test_the_entries_of_validation_images_are_what_reading_them_again_gives(
    reader: ImageReader, validation: list[ImageLocation], folder: Path
) -> None:
    with reader:
        entries = extract_sorted(reader, validation, folder)
    assert entries == read_files(folder)


def test_the_progress_of_validation_images_counts_images(
    reader: ImageReader, validation: list[ImageLocation], folder: Path
) -> None:
    reported: list[tuple[str, int, int | None, str]] = []
    with reader:
        extract_sorted(reader, validation, folder, lambda *report: reported.append(report))
    assert [report[1:] for report in reported] == [(number, 3, "images") for number in (1, 2, 3)]


# Annotations ---------------------------------------------------------------------------------------------------------


def test_annotations_are_extracted_byte_for_byte_whatever_is_in_them(folder: Path, tmp_path: Path) -> None:
    files = {"n02105855/n02105855_1.xml": b"<a/>", "n00007846/n00007846_1.xml": b"<b/>\r\n"}
    extract_annotations(official.annotations_in(annotation_tar(tmp_path / "boxes.tar.gz", files)), folder)
    assert files_in(folder) == files


def test_the_entries_of_annotations_are_what_reading_them_again_gives(folder: Path, ilsvrc: Path) -> None:
    entries = extract_annotations(official.annotations_in(ilsvrc / "ILSVRC2012_bbox_train_v2.tar.gz"), folder)
    assert len(entries) == 40
    assert entries == read_files(folder)


def test_the_progress_of_annotations_counts_files(folder: Path) -> None:
    reported: list[tuple[str, int, int | None, str]] = []
    annotations = (Annotation(FISH, f"{FISH}_{number}", b"<a/>") for number in range(2100))
    extract_annotations(annotations, folder, lambda *report: reported.append(report))
    assert [report[1:] for report in reported] == [(1000, None, "files"), (2000, None, "files")]
