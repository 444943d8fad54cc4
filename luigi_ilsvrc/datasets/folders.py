"""The class folders of a build as a list of files and labels."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from luigi_ilsvrc.build_record import read_record
from luigi_ilsvrc.dataset.paths import DataSetPaths
from luigi_ilsvrc.dataset.synsets import UNIQUE_SYNSETS, read_synsets
from luigi_ilsvrc.datasets.arguments import DatasetError, paths_of_build, shorten


@dataclass(frozen=True)
class ImageFolder:
    """The images of a split in their class folders, with the attributes of ``torchvision.datasets.ImageFolder``.

    As a sequence, it is its `samples`: paths and labels, not decoded images.

    Attributes
    ----------
    classes : list of str
        The synsets, sorted.
    class_to_idx : dict of str to int
        The label of each, from **0**.
    samples : list of (str, int)
        Path and label of each image.
    """

    classes: list[str]
    class_to_idx: dict[str, int]
    samples: list[tuple[str, int]]

    @property
    def targets(self) -> list[int]:
        """The label of each image."""
        return [label for _, label in self.samples]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, number: int) -> tuple[str, int]:
        return self.samples[number]

    def __iter__(self) -> Iterator[tuple[str, int]]:
        return iter(self.samples)


def image_folder(data_dir: str | os.PathLike[str], split: str) -> ImageFolder:
    """Return the images of a split in their class folders: the same, in the same order, as torchvision's.

    The rule is that of ``find_classes`` and ``make_dataset`` in ``torchvision/datasets/folder.py``: classes sorted by
    the name of their folder, files sorted by name within each. Both sort as Python does, by code point. In contrast to
    torchvision, a folder that is missing or does not belong there is an error: each label behind it would be another.

    Labels are those of the records, less 1, if the table of synsets is sorted, as the packaged one is.

    Parameters
    ----------
    data_dir : path
        The ``--data-dir`` of the build.
    split : str
        "train" or "validation".

    Raises
    ------
    DatasetError
        If there is no such build, or its class folders are not those of the table that it was begun with.
    """
    paths = paths_of_build(data_dir, split)
    folders = paths.class_folders(split)
    try:
        classes = sorted(entry.name for entry in os.scandir(folders) if entry.is_dir())
    except OSError as error:
        raise DatasetError(f"{folders}: the class folders cannot be read: {error.strerror}; run BuildAll") from error
    _check_classes(paths, folders, classes)
    labels = {name: label for label, name in enumerate(classes)}
    samples = [(path, label) for name, label in labels.items() for path in _images_in(folders / name)]
    return ImageFolder(classes, labels, samples)


_IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
"""torchvision's IMG_EXTENSIONS; the images of a build end in ``.JPEG``."""


def _images_in(folder: Path) -> list[str]:
    # As torchvision: folders within are walked too, through links, each folder's own files first.
    found = [
        os.path.join(root, name)
        for root, _, names in sorted(os.walk(folder, onerror=_refuse, followlinks=True))
        for name in sorted(names)
        if name.lower().endswith(_IMAGE_ENDINGS)
    ]
    if not found:
        raise DatasetError(f"{folder}: there is no image in this class folder; delete it and run BuildAll again")
    return found


def _refuse(error: OSError) -> None:
    raise DatasetError(f"{error.filename}: the class folder cannot be read: {error.strerror}; fix this") from error


def _check_classes(paths: DataSetPaths, folders: Path, classes: list[str]) -> None:
    """Compare the class folders with the synsets that the build was begun with, if that is known."""
    record = read_record(paths)
    if record is None:
        return
    synsets = set(read_synsets(paths.table(UNIQUE_SYNSETS, record.tables[UNIQUE_SYNSETS])))
    if missing := sorted(synsets.difference(classes)):
        raise DatasetError(
            f"{folders}: {len(missing)} of {len(synsets)} class folders are missing: {shorten(missing)}; "
            "run BuildAll again"
        )
    if foreign := sorted(set(classes).difference(synsets)):
        raise DatasetError(
            f"{folders}: there are folders that are none of the {len(synsets)} classes: {shorten(foreign)}; delete "
            "them, or wait for the end of the build"
        )
