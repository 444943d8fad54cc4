"""Class folders: ``training_images/<synset>/``, ``validation_images/<synset>/``, ``training_bounding_boxes/<synset>/``.

Those that a build has extracted, or that a user has put there instead of the archives.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from luigi_ilsvrc.dataset.annotations import Annotation
from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.dataset.splits import TRAIN
from luigi_ilsvrc.dataset.synsets import LabelTables
from luigi_ilsvrc.layouts.image_names import ANNOTATION, check_images, check_train_images, validation_numbers
from luigi_ilsvrc.layouts.index import ImageLocation
from luigi_ilsvrc.layouts.tar import ArchiveError
from luigi_ilsvrc.progress import Progress, no_progress
from luigi_ilsvrc.storage import disk

# The layout, see `layouts.table.Layout` ----------------------------------------------------------------

INDEX_SUFFIX = "-folders"
IS_DOWNLOADED = False


def has_images(paths: DataSetPaths, split: str, tables: LabelTables) -> bool:
    """Tell whether there are class folders: for training images, one for each synset."""
    folders = paths.class_folders(split)
    if not folders.is_dir():
        return False
    return split != TRAIN or set(os.listdir(folders)).issuperset(tables.synsets())


def find_images(
    paths: DataSetPaths, split: str, tables: LabelTables, progress: Progress = no_progress
) -> list[ImageLocation]:
    """Find the images of a split in its class folders; see `index_train` and `index_validation`."""
    folders = paths.class_folders(split)
    if split == TRAIN:
        return index_train(folders, tables.synsets(), progress)
    return index_validation(folders, tables.validation_labels(), tables.validation_synset_labels, progress)


def annotations_path(paths: DataSetPaths) -> Path:
    """Return the folder of annotations."""
    return paths.annotations


def has_annotations(paths: DataSetPaths) -> bool:
    """Tell whether the folder of annotations is there."""
    return paths.annotations.is_dir()


def read_annotations(paths: DataSetPaths) -> Iterator[Annotation]:
    """Yield the annotations in their folders; see `annotations_in`."""
    return annotations_in(paths.annotations)


# The folders ----------------------------------------------------------------


def index_train(folders: Path, synsets: Sequence[str], progress: Progress = no_progress) -> list[ImageLocation]:
    """Find every training image in class folders ``<folders>/<synset>/<synset>_<n>.JPEG``.

    Progress counts folders.

    Raises
    ------
    ArchiveError
        If a folder is missing or holds anything else (hidden files are ignored).
    """
    locations: list[ImageLocation] = []
    for done, synset in enumerate(synsets, start=1):
        locations += check_train_images(_images_in(folders, synset), str(folders / synset))
        progress("indexing", done, len(synsets), "folders")
    return locations


def index_validation(
    folders: Path, labels: Sequence[str], table: Path, progress: Progress = no_progress
) -> list[ImageLocation]:
    """Find every validation image in class folders ``<folders>/<synset>/ILSVRC2012_val_<8 digits>.JPEG``.

    `labels` are the lines of `table`, the validation table. Progress counts folders.

    Raises
    ------
    ArchiveError
        If a folder is missing or holds anything else (hidden files are ignored), or an image lies in another folder
        than its label's.
    TableError
        If the table has not as many lines as there are images.
    """
    synsets = sorted(set(labels))
    locations: list[ImageLocation] = []
    for done, synset in enumerate(synsets, start=1):
        locations += _images_in(folders, synset)
        progress("indexing", done, len(synsets), "folders")
    numbers = validation_numbers((location.name for location in locations), len(labels), folders, table)
    for location, number in zip(locations, numbers, strict=True):
        if labels[number - 1] != location.synset:
            raise ArchiveError(f"{folders / location.synset / location.name}: {table} labels it {labels[number - 1]}")
    return check_images(locations, str(folders))


def _images_in(folders: Path, synset: str) -> list[ImageLocation]:
    try:
        with os.scandir(folders / synset) as entries:
            return [
                ImageLocation(entry.name, synset, f"{folders.name}/{synset}/{entry.name}", 0, entry.stat().st_size)
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
        If there is none.
    """
    found = False
    for synset in sorted(path.name for path in folders.iterdir() if path.is_dir()):
        for name in sorted(os.listdir(folders / synset)):
            match = ANNOTATION.fullmatch(f"{synset}/{name}")
            if match:
                found = True
                path = folders / synset / name
                with disk.reading(path):
                    xml = path.read_bytes()
                yield Annotation(synset, match.group(2), xml)
    if not found:
        raise ArchiveError(f"{folders}: there is no <synset>/<synset>_<n>.xml; delete the folder, or fill it")
