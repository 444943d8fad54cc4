"""The official archives: a tar of one tar a synset, a tar of validation images, a ``.tar.gz`` of annotations."""

import os
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from luigi_ilsvrc.dataset.annotations import Annotation
from luigi_ilsvrc.dataset.archives import ANNOTATION_ARCHIVES, IMAGE_ARCHIVES
from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.dataset.splits import TRAIN
from luigi_ilsvrc.dataset.synsets import SYNSET_PATTERN, LabelTables
from luigi_ilsvrc.errors import BuildError
from luigi_ilsvrc.layouts.hashed_tar import open_hashed
from luigi_ilsvrc.layouts.image_names import (
    ANNOTATION,
    check_images,
    check_train_images,
    match_name,
    validation_annotation,
    validation_numbers,
)
from luigi_ilsvrc.layouts.index import ImageLocation
from luigi_ilsvrc.layouts.tar import (
    ArchiveError,
    InnerTar,
    Member,
    SeekableTar,
    TarStream,
    members,
    members_of_gzip,
)
from luigi_ilsvrc.progress import BYTES, Progress, no_progress
from luigi_ilsvrc.storage import disk, disk_advice

_MAX_ANNOTATIONS = 1_281_167
"""One for each training image; ILSVRC2012 has 544,546."""

_TRAIN_TAR = re.compile(rf"({SYNSET_PATTERN})\.tar")

# The layout, see `layouts.table.Layout` ----------------------------------------------------------------

INDEX_SUFFIX = ""
IS_DOWNLOADED = True
IS_LINKED = False


def has_images(paths: DataSetPaths, split: str, tables: LabelTables) -> bool:
    """Tell whether the split's archive is there."""
    return paths.archive(IMAGE_ARCHIVES[split]).exists()


def find_images(
    paths: DataSetPaths, split: str, tables: LabelTables, progress: Progress = no_progress
) -> list[ImageLocation]:
    """Find the images of a split in its archive; see `index_train` and `index_validation`."""
    archive = paths.archive(IMAGE_ARCHIVES[split])
    if split == TRAIN:
        return index_train(archive, tables.synsets(), progress)
    return index_validation(archive, tables.validation_labels(), tables.validation_synset_labels, progress)


def annotations_path(paths: DataSetPaths, split: str) -> Path:
    """Return the archive of annotations."""
    return paths.archive(ANNOTATION_ARCHIVES[split])


def has_annotations(paths: DataSetPaths, split: str) -> bool:
    """Tell whether the archive of annotations is there."""
    return annotations_path(paths, split).exists()


def read_annotations(paths: DataSetPaths, split: str, tables: LabelTables) -> Iterator[Annotation]:
    """Yield the annotations in the archive; see `annotations_in` and `validation_annotations_in`."""
    archive = annotations_path(paths, split)
    return annotations_in(archive) if split == TRAIN else validation_annotations_in(archive, tables.validation_labels())


# The form of a source, see `layouts.sources.Form` ----------------------------------------------------------------

IS_READ_IN_PLACE = False


def images(split: str) -> list[str]:
    """Return the name of the archive of images."""
    return [IMAGE_ARCHIVES[split].name]


def annotations(split: str) -> list[str]:
    """Return the name of the archive of annotations."""
    return [ANNOTATION_ARCHIVES[split].name]


def is_recognised(path: Path) -> bool:
    """Tell whether there is such a file."""
    return path.is_file()


# The archives ----------------------------------------------------------------


def index_train(archive: Path, synsets: Sequence[str], progress: Progress = no_progress) -> list[ImageLocation]:
    """Find every image in the training archive, a tar of one tar for each of `synsets`.

    Progress counts the bytes of the archive up to the present synset.

    Raises
    ------
    ArchiveError
        If the archive is damaged, holds anything but ``<synset>.tar`` of ``<synset>_<n>.JPEG``, holds a synset or an
        image twice, a synset outside `synsets`, or lacks one of them.
    """
    with _open(archive) as (tar, size):
        return _train_images(tar, archive, synsets, lambda done: progress("indexing", done, size, BYTES))


@contextmanager
def _open(archive: Path) -> Iterator[tuple[SeekableTar, int]]:
    """Yield an archive, of which only what is needed is read, and its size in bytes."""
    with disk.reading(archive), archive.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        yield SeekableTar(file.fileno(), 0, size, str(archive)), size


def _train_images(
    tar: TarStream, archive: Path, synsets: Sequence[str], passed: Callable[[int], None]
) -> list[ImageLocation]:
    locations: list[ImageLocation] = []
    found: set[str] = set()
    for member in members(tar):
        synset = _synset_of(member, archive, synsets, found)
        locations += _images_of(tar, member, archive, synset)
        passed(member.offset + member.size)
    _check_all_found(found, synsets, str(archive))
    return locations


def _synset_of(member: Member, archive: Path, synsets: Collection[str], found: set[str]) -> str:
    """Return the synset of a member of the training archive, and add it to those that were found."""
    synset = match_name(_TRAIN_TAR, member.name, f"{archive}", "<synset>.tar")
    _check_synset(synset, synsets, found, str(archive))
    return synset


def _images_of(tar: TarStream, member: Member, archive: Path, synset: str) -> list[ImageLocation]:
    where = f"{archive}, {member.name}"
    images = members(InnerTar(tar, member.offset + member.size, where))
    return check_train_images(
        [ImageLocation(image.name, synset, archive.name, image.offset, image.size) for image in images], where
    )


def train_synsets(archive: Path, synsets: Sequence[str]) -> Iterator[tuple[str, list[ImageLocation]]]:
    """Yield the synsets of the training archive, in its order, and where their images lie.

    All of a synset is read from the disk when it is looked for, as whoever asks will read it.

    Raises
    ------
    ArchiveError
        As `index_train`, but for synsets that are missing.
    """
    found: set[str] = set()
    with disk.reading(archive), archive.open("rb") as file:
        tar = SeekableTar(file.fileno(), 0, os.fstat(file.fileno()).st_size, str(archive))
        for member in members(tar):
            synset = _synset_of(member, archive, synsets, found)
            disk_advice.soon(file.fileno(), member.offset, member.size)
            yield synset, _images_of(tar, member, archive, synset)


def _check_synset(synset: str, synsets: Collection[str], found: set[str], where: str) -> None:
    if synset not in synsets:
        raise ArchiveError(f"{where}: {synset} is not in the table of synsets; give the table it was made for")
    if synset in found:
        raise ArchiveError(f"{where}: {synset}.tar is there twice")
    found.add(synset)


def _check_all_found(found: Collection[str], synsets: Sequence[str], where: str) -> None:
    missing = [synset for synset in synsets if synset not in found]
    if missing:
        raise ArchiveError(
            f"{where}: {len(missing)} of the {len(synsets)} synsets are missing, such as {missing[0]}.tar"
        )


def index_validation(
    archive: Path, labels: Sequence[str], table: Path, progress: Progress = no_progress
) -> list[ImageLocation]:
    """Find every image in the validation archive and give it its label.

    `labels` are the lines of `table`, the validation table. Progress counts the bytes of the archive.

    Raises
    ------
    ArchiveError
        If the archive is damaged or holds anything but one ``ILSVRC2012_val_<8 digits>.JPEG`` for each label.
    TableError
        If the table has not as many lines as the archive has images.
    """
    with _open(archive) as (tar, size):
        return _validation_images(tar, archive, labels, table, lambda done: progress("indexing", done, size, BYTES))


def _validation_images(
    tar: TarStream, archive: Path, labels: Sequence[str], table: Path, passed: Callable[[int], None]
) -> list[ImageLocation]:
    images: list[Member] = []
    for image in members(tar):
        images.append(image)
        passed(image.offset + image.size)
    numbers = validation_numbers((image.name for image in images), len(labels), archive, table)
    locations = [
        ImageLocation(image.name, labels[number - 1], archive.name, image.offset, image.size)
        for image, number in zip(images, numbers, strict=True)
    ]
    return check_images(locations, str(archive))


def read_whole(
    archive: Path, split: str, tables: LabelTables, progress: Progress = no_progress
) -> tuple[str, list[ImageLocation] | None]:
    """Read an archive once, for its MD5 sum and for where its images lie; progress counts bytes.

    To find the images afterwards takes a request to the disk for each of them.

    Returns
    -------
    md5 : str
        The MD5 sum, 32 lower-case hexadecimal digits.
    images : list or None
        As `index_train` or `index_validation` would find them, with the archive's local name; None if the archive is
        not one that they accept.

    Raises
    ------
    OSError
        If the archive cannot be read.
    """
    named = archive.with_name(IMAGE_ARCHIVES[split].local_name)
    images: list[ImageLocation] | None
    with open_hashed(archive, "checking", progress) as tar:
        try:
            if split == TRAIN:
                images = _train_images(tar, named, tables.synsets(), lambda done: None)
            else:
                labels, table = tables.validation_labels(), tables.validation_synset_labels
                images = _validation_images(tar, named, labels, table, lambda done: None)
        except BuildError:
            images = None
        return tar.md5_of_all(), images


def annotations_in(archive: Path) -> Iterator[Annotation]:
    """Yield the annotations of ``ILSVRC2012_bbox_train_v2.tar.gz``, in the archive's order.

    Raises
    ------
    ArchiveError
        If the archive is damaged, is empty, or holds anything but ``<synset>/<synset>_<n>.xml``, once each.
    """
    return _each_once(archive, (_annotation(archive, name, xml) for name, xml in members_of_gzip(archive)))


def _annotation(archive: Path, name: str, xml: bytes) -> Annotation:
    match = ANNOTATION.fullmatch(name)
    if not match:
        raise ArchiveError(f"{archive}: {name!r} is not named <synset>/<synset>_<n>.xml: not of ILSVRC2012's layout")
    synset, image = match.groups()
    return Annotation(synset, image, xml)


def validation_annotations_in(archive: Path, labels: Sequence[str]) -> Iterator[Annotation]:
    """Yield the annotations of ``ILSVRC2012_bbox_val_v3.tgz``, given the lines of the validation table.

    Raises
    ------
    ArchiveError
        If the archive is damaged, is empty, or holds anything but ``val/ILSVRC2012_val_<8 digits>.xml``, once each.
    """
    where = str(archive)
    found = (validation_annotation(name, xml, labels, where) for name, xml in members_of_gzip(archive))
    return _each_once(archive, found)


def _each_once(archive: Path, annotations: Iterator[Annotation]) -> Iterator[Annotation]:
    seen: set[tuple[str, str]] = set()
    for annotation in annotations:
        path = (annotation.synset, annotation.image)
        if path in seen:
            raise ArchiveError(f"{archive}: {'/'.join(path)}.xml is there twice")
        if len(seen) == _MAX_ANNOTATIONS:
            raise ArchiveError(
                f"{archive}: it holds more than {_MAX_ANNOTATIONS:,} annotations, one for each training image: not of "
                "ILSVRC2012's layout; download it again"
            )
        seen.add(path)
        yield annotation
    if not seen:
        raise ArchiveError(f"{archive}: there is no annotation")
