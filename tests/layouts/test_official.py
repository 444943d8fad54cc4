import gzip
import hashlib
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from luigi_ilsvrc.dataset.archives import BOUNDING_BOX_ARCHIVE, IMAGE_ARCHIVES, TRAIN_ARCHIVE, VALIDATION_ARCHIVE
from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.dataset.splits import TRAIN, VALIDATION
from luigi_ilsvrc.dataset.synsets import LabelTables, TableError
from luigi_ilsvrc.layouts import official
from luigi_ilsvrc.layouts.index import ImageLocation
from luigi_ilsvrc.layouts.tar import ArchiveError
from luigi_ilsvrc.progress import BYTES
from tests.layouts.archives import (
    LABELS,
    SYNSETS,
    annotation_tar,
    images_in,
    retyped,
    special,
    tar_of,
    train_tar,
    validation_tar,
)

Write = Callable[[bytes], Path]


def index_train(path: Path) -> list[ImageLocation]:
    return official.index_train(path, SYNSETS)


@pytest.fixture
def tables(ilsvrc: Path) -> LabelTables:
    names = ("unique_synsets.txt", "validation_synset_labels.txt", "synset_english_key.txt")
    return LabelTables(*(ilsvrc / name for name in names))


@pytest.fixture
def validation(tmp_path: Path) -> Path:
    """An archive of validation images 3, 1 and 2."""
    path = tmp_path / "validation_images.tar"
    path.write_bytes(validation_tar())
    return path


# Training images -----------------------------------------------------------------------------------------------------


def test_every_training_image_is_found_where_its_bytes_lie(ilsvrc: Path, tables: LabelTables) -> None:
    path = ilsvrc / TRAIN_ARCHIVE.name
    contents = path.read_bytes()
    found = {
        image.name: contents[image.offset : image.offset + image.size]
        for image in official.index_train(path, tables.synsets())
    }
    assert found == images_in(path)


def test_the_file_of_an_image_is_its_archive(archive: Write) -> None:
    assert {image.file for image in index_train(archive(train_tar()))} == {"training_images.tar"}


def test_the_progress_of_a_training_archive_is_in_bytes(archive: Write) -> None:
    path = archive(train_tar())
    reported: list[tuple[str, int, int | None, str]] = []
    official.index_train(path, SYNSETS, lambda *report: reported.append(report))
    assert {report[2:] for report in reported} == {(path.stat().st_size, BYTES)}
    done = [report[1] for report in reported]
    assert len(done) == 2
    assert done == sorted(done)
    assert done[-1] <= path.stat().st_size


@pytest.mark.parametrize(
    "name",
    ["../n01440764_1.JPEG", "/n01440764_1.JPEG", "n01440764_1.jpg", "n01440764_1.JPEG\n", "x/n01440764_1.JPEG", "a"],
)
def test_a_name_of_another_shape_is_refused(archive: Write, name: str) -> None:
    with pytest.raises(ArchiveError, match=r"n01440764\.tar: .*<synset>_<n>\.JPEG"):
        index_train(archive(train_tar(n01440764=[(name, b"tench")])))


def test_an_image_of_another_synset_is_refused(archive: Write) -> None:
    with pytest.raises(ArchiveError, match="n01443537_1.JPEG .*n01440764"):
        index_train(archive(train_tar(n01440764=[("n01443537_1.JPEG", b"fish")])))


def test_an_image_twice_is_refused(archive: Write) -> None:
    twice = [("n01440764_1.JPEG", b"tench"), ("n01440764_1.JPEG", b"fish")]
    with pytest.raises(ArchiveError, match="n01440764_1.JPEG .*2 times"):
        index_train(archive(train_tar(n01440764=twice)))


def test_an_empty_image_is_refused(archive: Write) -> None:
    with pytest.raises(ArchiveError, match="n01440764_1.JPEG is empty"):
        index_train(archive(train_tar(n01440764=[("n01440764_1.JPEG", b"")])))


def test_a_synset_without_images_is_refused(archive: Write) -> None:
    with pytest.raises(ArchiveError, match=r"n01440764\.tar: .*no image"):
        index_train(archive(train_tar(n01440764=[])))


def test_a_missing_synset_is_named(archive: Write) -> None:
    path = archive(train_tar())
    with pytest.raises(ArchiveError, match=r"1 of the 3 synsets .*n02105855"):
        official.index_train(path, [*SYNSETS, "n02105855"])


def test_an_unknown_synset_is_named(archive: Write) -> None:
    path = archive(train_tar())
    with pytest.raises(ArchiveError, match=f"{path}: n01440764 is not in the table"):
        official.index_train(path, SYNSETS[1:])


def test_a_synset_twice_is_refused(archive: Write) -> None:
    inner = tar_of([("n01440764_1.JPEG", b"tench")])
    with pytest.raises(ArchiveError, match=r"n01440764\.tar .*twice"):
        index_train(archive(tar_of([("n01440764.tar", inner), ("n01440764.tar", inner)])))


def test_another_data_sets_archive_is_refused(archive: Write) -> None:
    with pytest.raises(ArchiveError, match=r"'cifar-10/data_batch_1' .*<synset>\.tar"):
        index_train(archive(tar_of([("cifar-10/data_batch_1", b"x" * 100)])))


def test_a_tar_without_members_lacks_all_synsets(archive: Write) -> None:
    with pytest.raises(ArchiveError, match="2 of the 2 synsets"):
        index_train(archive(bytes(10_240)))


def test_anything_but_regular_files_is_refused_with_the_synsets_tar(archive: Write) -> None:
    hostile = train_tar(n01440764=[(special("n01440764_10.JPEG", tarfile.SYMTYPE), b"")])
    with pytest.raises(ArchiveError, match=r"n01440764\.tar, byte \d+: 'n01440764_10.JPEG'"):
        index_train(archive(hostile))


@pytest.mark.parametrize("name", [b"n01440764_10.JPEG", b"n01443537_3.JPEG", b"n01443537_22.JPEG", b"n01443537.tar"])
@pytest.mark.parametrize("kind", [b"x", b"g", b"S"])
def test_a_member_of_another_type_is_not_left_out(archive: Write, name: bytes, kind: bytes) -> None:
    with pytest.raises(ArchiveError, match="byte"):
        index_train(archive(retyped(train_tar(), name, kind)))


def test_wherever_an_archive_is_cut_it_is_refused(archive: Write) -> None:
    whole = train_tar()
    end = len(whole.rstrip(b"\0"))
    for cut in range(0, end, 97):
        with pytest.raises(ArchiveError):
            index_train(archive(whole[:cut]))


# Validation images ---------------------------------------------------------------------------------------------------


def test_every_validation_image_is_found_with_its_label(validation: Path) -> None:
    found = official.index_validation(validation, LABELS, Path("labels.txt"))
    assert {image.name: image.synset for image in found} == {
        "ILSVRC2012_val_00000001.JPEG": "n01443537",
        "ILSVRC2012_val_00000002.JPEG": "n01440764",
        "ILSVRC2012_val_00000003.JPEG": "n01443537",
    }


def test_every_validation_image_is_found_where_its_bytes_lie(validation: Path) -> None:
    contents = validation.read_bytes()
    for image in official.index_validation(validation, LABELS, Path("labels.txt")):
        number = int(image.name[15:-5])
        assert contents[image.offset : image.offset + image.size] == bytes([number]) * 600


def test_the_validation_archive_of_a_miniature_has_an_image_for_each_label(ilsvrc: Path, tables: LabelTables) -> None:
    labels = tables.validation_labels()
    found = official.index_validation(ilsvrc / VALIDATION_ARCHIVE.name, labels, tables.validation_synset_labels)
    assert [image.synset for image in sorted(found)] == labels


def test_the_progress_of_a_validation_archive_is_in_bytes(validation: Path) -> None:
    reported: list[tuple[str, int, int | None, str]] = []
    official.index_validation(validation, LABELS, Path("labels.txt"), lambda *report: reported.append(report))
    assert len(reported) == 3
    assert {report[2:] for report in reported} == {(validation.stat().st_size, BYTES)}


def test_a_table_of_another_length_than_the_archive_is_named_with_its_line(validation: Path) -> None:
    with pytest.raises(TableError, match=rf"^labels\.txt:2: .* 2 lines.*{validation}.* 3 "):
        official.index_validation(validation, LABELS[:2], Path("labels.txt"))


def test_a_validation_image_outside_the_table_is_named(tmp_path: Path) -> None:
    path = tmp_path / "validation_images.tar"
    path.write_bytes(tar_of((f"ILSVRC2012_val_{number:08}.JPEG", b"x") for number in (1, 2, 9)))
    with pytest.raises(ArchiveError, match=r"ILSVRC2012_val_00000009\.JPEG: labels\.txt .*9"):
        official.index_validation(path, LABELS, Path("labels.txt"))


def test_a_validation_image_twice_is_named(tmp_path: Path) -> None:
    path = tmp_path / "validation_images.tar"
    path.write_bytes(tar_of((f"ILSVRC2012_val_{number:08}.JPEG", b"x") for number in (1, 2, 2)))
    with pytest.raises(ArchiveError, match=r"ILSVRC2012_val_00000002\.JPEG .*2 times"):
        official.index_validation(path, LABELS, Path("labels.txt"))


def test_a_validation_image_of_another_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "validation_images.tar"
    path.write_bytes(tar_of([("n01440764_1.JPEG", b"x")]))
    with pytest.raises(ArchiveError, match=r"'n01440764_1\.JPEG' .*ILSVRC2012_val"):
        official.index_validation(path, LABELS[:1], Path("labels.txt"))


# Annotations ---------------------------------------------------------------------------------------------------------


def test_annotations_come_in_the_order_of_the_archive(tmp_path: Path) -> None:
    files = {"n01443537/n01443537_2.xml": b"<b/>", "n01440764/n01440764_1.xml": b"<a/>"}
    found = list(official.annotations_in(annotation_tar(tmp_path / "boxes.tar.gz", files)))
    assert found == [("n01443537", "n01443537_2", b"<b/>"), ("n01440764", "n01440764_1", b"<a/>")]


@pytest.mark.parametrize("name", ["../n02105855_1.xml", "/n02105855/n02105855_1.xml", "n02105855/../x.xml", "readme"])
def test_a_file_that_is_not_an_annotation_is_refused(tmp_path: Path, name: str) -> None:
    path = annotation_tar(tmp_path / "boxes.tar.gz", {name: b"<a/>"})
    with pytest.raises(ArchiveError, match=f"{path}: '{name}' .*<synset>/<synset>_<n>.xml"):
        list(official.annotations_in(path))


def test_an_annotation_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "boxes.tar.gz"
    path.write_bytes(gzip.compress(tar_of([("n01440764/n01440764_1.xml", b"<a/>")] * 2)))
    with pytest.raises(ArchiveError, match="n01440764/n01440764_1.xml .*twice"):
        list(official.annotations_in(path))


def test_an_archive_without_annotations_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="no annotation"):
        list(official.annotations_in(annotation_tar(tmp_path / "boxes.tar.gz", {})))


# The layout ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def paths(tmp_path: Path, ilsvrc: Path) -> DataSetPaths:
    """A data set of the three archives."""
    paths = DataSetPaths(tmp_path)
    paths.dataset.mkdir()
    for archive in (TRAIN_ARCHIVE, VALIDATION_ARCHIVE, BOUNDING_BOX_ARCHIVE):
        paths.archive(archive).symlink_to(ilsvrc / archive.name)
    return paths


@pytest.mark.parametrize("split", [TRAIN, VALIDATION])
def test_the_images_of_a_split_are_there_if_its_archive_is(
    paths: DataSetPaths, tables: LabelTables, split: str
) -> None:
    assert official.has_images(paths, split, tables)
    archives = {TRAIN: TRAIN_ARCHIVE, VALIDATION: VALIDATION_ARCHIVE}
    paths.archive(archives[split]).unlink()
    assert [official.has_images(paths, it, tables) for it in archives] == [it != split for it in archives]


def test_the_images_of_a_split_are_found_in_its_archive(paths: DataSetPaths, tables: LabelTables) -> None:
    assert [len(official.find_images(paths, split, tables)) for split in (TRAIN, VALIDATION)] == [90, 25]


def test_annotations_are_read_from_their_archive(paths: DataSetPaths, tables: LabelTables) -> None:
    assert official.has_annotations(paths, TRAIN)
    assert len(list(official.read_annotations(paths, TRAIN, tables))) == 40
    official.annotations_path(paths, TRAIN).unlink()
    assert not official.has_annotations(paths, TRAIN)


# The sum and the images in one reading -------------------------------------------------------------------------------


@pytest.mark.parametrize("split", [TRAIN, VALIDATION])
def test_an_archive_read_for_its_sum_gives_the_images_that_its_index_has(
    paths: DataSetPaths, tables: LabelTables, ilsvrc: Path, split: str
) -> None:
    archive = ilsvrc / IMAGE_ARCHIVES[split].name
    md5, images = official.read_whole(archive, split, tables)
    assert md5 == hashlib.md5(archive.read_bytes()).hexdigest()
    assert images == official.find_images(paths, split, tables)


@pytest.mark.parametrize("cut", [700, 3000, None], ids=["truncated", "truncated later", "of other synsets"])
def test_an_archive_that_is_none_has_a_sum_and_no_images(archive: Write, tables: LabelTables, cut: int | None) -> None:
    contents = train_tar()[:cut]
    md5 = hashlib.md5(contents).hexdigest()
    assert official.read_whole(archive(contents), TRAIN, tables) == (md5, None)
