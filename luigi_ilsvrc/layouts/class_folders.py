"""Class folders: ``training_images/<synset>/``, ``validation_images/<synset>/``, ``training_bounding_boxes/<synset>/``.

Those that a build has extracted, or that a user has put there instead of the archives; and folders like them in a
source: those of a build, or of a user of torchvision.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from luigi_ilsvrc.dataset.annotations import Annotation
from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.dataset.splits import TRAIN, VALIDATION
from luigi_ilsvrc.dataset.synsets import SYNSET, LabelTables
from luigi_ilsvrc.layouts.image_names import (
    ANNOTATION,
    VALIDATION_ANNOTATION,
    VALIDATION_FILE,
    check_images,
    check_train_images,
    validation_annotation,
    validation_numbers,
)
from luigi_ilsvrc.layouts.index import ImageLocation
from luigi_ilsvrc.layouts.tar import ArchiveError
from luigi_ilsvrc.progress import Progress, no_progress
from luigi_ilsvrc.storage import disk

# The layout, see `layouts.table.Layout` ----------------------------------------------------------------

INDEX_SUFFIX = "-folders"
IS_DOWNLOADED = False
IS_LINKED = False


def has_images(paths: DataSetPaths, split: str, tables: LabelTables) -> bool:
    """Tell whether there are class folders: for training images, one for each synset."""
    folders, synsets = paths.class_folders(split), tables.synsets()
    if not folders.is_dir() or (split == TRAIN and not set(os.listdir(folders)).issuperset(synsets)):
        return False
    return not _leads_to_source(paths, split, folders / synsets[0])


def _leads_to_source(paths: DataSetPaths, split: str, class_folder: Path) -> bool:
    """Tell whether a class folder is a link to the source, or a folder of such links: then it is not a user's own."""
    try:
        first = class_folder if class_folder.is_symlink() else next(class_folder.iterdir(), class_folder)
        return paths.source_link(split).name in first.readlink().parts
    except OSError:
        # No link.
        return False


def find_images(
    paths: DataSetPaths, split: str, tables: LabelTables, progress: Progress = no_progress
) -> list[ImageLocation]:
    """Find the images of a split in its class folders; see `index_train` and `index_validation`."""
    folders = paths.class_folders(split)
    if split == TRAIN:
        return index_train(folders, tables.synsets(), progress)
    return index_validation(folders, tables.validation_labels(), tables.validation_synset_labels, progress)


def annotations_path(paths: DataSetPaths, split: str) -> Path:
    """Return the folder of annotations."""
    return paths.annotations if split == TRAIN else paths.dataset / "validation_bounding_boxes"


def has_annotations(paths: DataSetPaths, split: str) -> bool:
    """Tell whether the folder of annotations is there."""
    return annotations_path(paths, split).is_dir()


def read_annotations(paths: DataSetPaths, split: str, tables: LabelTables) -> Iterator[Annotation]:
    """Yield the annotations in their folders; see `read_folder`."""
    return read_folder(annotations_path(paths, split), split, tables)


def read_folder(folder: Path, split: str, tables: LabelTables) -> Iterator[Annotation]:
    """Yield the annotations in a folder; see `annotations_in` and `validation_annotations_in`."""
    return annotations_in(folder) if split == TRAIN else validation_annotations_in(folder, tables.validation_labels())


# The form of a source, see `layouts.sources.Form` ----------------------------------------------------------------

IS_READ_IN_PLACE = True

_IMAGES = {
    TRAIN: ("train", "training_images", "ilsvrc2012/training_images"),
    VALIDATION: ("val", "validation_images", "ilsvrc2012/validation_images"),
}
_ANNOTATIONS = {
    TRAIN: ("training_bounding_boxes", "ilsvrc2012/training_bounding_boxes", "Annotations/train", "Annotations"),
    VALIDATION: ("validation_bounding_boxes", "Annotations/val"),
}


def images(split: str) -> list[str]:
    """Return where the images of a split may lie: as torchvision has them, or as a build does."""
    return list(_IMAGES[split])


def annotations(split: str) -> list[str]:
    """Return where the annotations of a split may lie."""
    return list(_ANNOTATIONS[split])


def is_recognised(path: Path) -> bool:
    """Tell whether a folder holds a class folder, or a file of a validation image."""
    if not path.is_dir():
        return False
    with os.scandir(path) as entries:
        return any(SYNSET.fullmatch(entry.name) or VALIDATION_FILE.fullmatch(entry.name) for entry in entries)


# The folders ----------------------------------------------------------------


def index_train(
    folders: Path, synsets: Sequence[str], progress: Progress = no_progress, name: str | None = None
) -> list[ImageLocation]:
    """Find every training image in class folders ``<folders>/<synset>/<synset>_<n>.JPEG``.

    Parameters
    ----------
    folders : Path
        The folder of class folders.
    synsets : sequence of str
        Those whose folders are read.
    progress : Progress, optional
        Counts folders.
    name : str, optional
        What the files of an index begin with; by default the folder's own name.

    Raises
    ------
    ArchiveError
        If a folder is missing or holds anything else (hidden files are ignored).
    """
    locations: list[ImageLocation] = []
    for done, synset in enumerate(synsets, start=1):
        locations += check_train_images(_images_in(folders, synset, name), str(folders / synset))
        progress("indexing", done, len(synsets), "folders")
    return locations


def index_validation(
    folders: Path, labels: Sequence[str], table: Path, progress: Progress = no_progress, name: str | None = None
) -> list[ImageLocation]:
    """Find every validation image in ``<folders>/<synset>/ILSVRC2012_val_<8 digits>.JPEG``, or unsorted in `folders`.

    `labels` are the lines of `table`, the validation table; see `index_train` for the others.

    Raises
    ------
    ArchiveError
        If a folder is missing or holds anything else (hidden files are ignored), or an image lies in another folder
        than its label's.
    TableError
        If the table has not as many lines as there are images.
    """
    is_sorted = not _has_validation_images(folders)
    locations: list[ImageLocation] = []
    synsets = sorted(set(labels)) if is_sorted else [""]
    for done, synset in enumerate(synsets, start=1):
        locations += _images_in(folders, synset, name)
        progress("indexing", done, len(synsets), "folders")
    numbers = validation_numbers((location.name for location in locations), len(labels), folders, table)
    if not is_sorted:
        located = zip(locations, numbers, strict=True)
        locations = [location._replace(synset=labels[number - 1]) for location, number in located]
    for location, number in zip(locations, numbers, strict=True):
        if labels[number - 1] != location.synset:
            raise ArchiveError(f"{folders / location.synset / location.name}: {table} labels it {labels[number - 1]}")
    return check_images(locations, str(folders))


def _has_validation_images(folder: Path) -> bool:
    with disk.reading(folder), os.scandir(folder) as entries:
        return any(VALIDATION_FILE.fullmatch(entry.name) for entry in entries)


def _images_in(folders: Path, synset: str, name: str | None) -> list[ImageLocation]:
    prefix = "/".join(filter(None, (folders.name if name is None else name, synset)))
    try:
        with os.scandir(folders / synset) as entries:
            return [
                ImageLocation(entry.name, synset, f"{prefix}/{entry.name}", 0, entry.stat().st_size)
                for entry in entries
                if not entry.name.startswith(".")
            ]
    except OSError as error:
        raise ArchiveError(f"{folders / synset}: the class folder cannot be read: {error.strerror}") from error


def annotations_in(folders: Path) -> Iterator[Annotation]:
    """Yield the annotations in ``<folders>/<synset>/<synset>_<n>.xml``, sorted; other files are ignored.

    Raises
    ------
    ArchiveError
        If there is none, or one cannot be read.
    """
    found = False
    for synset in sorted(path.name for path in folders.iterdir() if path.is_dir()):
        for name in sorted(os.listdir(folders / synset)):
            match = ANNOTATION.fullmatch(f"{synset}/{name}")
            if match:
                found = True
                yield Annotation(synset, match.group(2), _read(folders / synset / name))
    if not found:
        raise ArchiveError(f"{folders}: there is no <synset>/<synset>_<n>.xml; fill the folder, or take it away")


def validation_annotations_in(folder: Path, labels: Sequence[str]) -> Iterator[Annotation]:
    """Yield the annotations in ``<folder>/ILSVRC2012_val_<8 digits>.xml``, sorted; other files are ignored.

    `labels` are the lines of the validation table.

    Raises
    ------
    ArchiveError
        If there is none, one cannot be read, or the table has no line for it.
    """
    names = sorted(name for name in os.listdir(folder) if VALIDATION_ANNOTATION.fullmatch(name))
    if not names:
        raise ArchiveError(f"{folder}: there is no ILSVRC2012_val_<8 digits>.xml; fill the folder, or take it away")
    for name in names:
        yield validation_annotation(name, _read(folder / name), labels, str(folder))


def _read(path: Path) -> bytes:
    with disk.reading(path):
        return path.read_bytes()
