"""What the images of a split are called, and checks of a list of them."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from luigi_ilsvrc.dataset.annotations import Annotation
from luigi_ilsvrc.dataset.synsets import SYNSET_PATTERN, TableError
from luigi_ilsvrc.layouts.index import ImageLocation
from luigi_ilsvrc.layouts.tar import ArchiveError

_TRAIN_IMAGE = re.compile(rf"({SYNSET_PATTERN})_[0-9]+\.JPEG")
_VALIDATION_IMAGE = re.compile(r"ILSVRC2012_val_([0-9]{8})\.JPEG")
VALIDATION_FILE = re.compile(r"ILSVRC2012_val_[0-9]{8}\.(?:JPEG|xml)")
"""A validation image, or its annotation."""

ANNOTATION = re.compile(rf"(?:\./)?({SYNSET_PATTERN})/({SYNSET_PATTERN}_[0-9]+)\.xml")
"""The path of an annotation below its root: its synset's folder, and the name of its image."""

VALIDATION_ANNOTATION = re.compile(r"(?:\./)?(?:val/)?(ILSVRC2012_val_([0-9]{8}))\.xml")
"""The same of a validation image, which lies in no synset's folder."""


def match_name(pattern: re.Pattern[str], name: str, where: str, shape: str) -> str:
    """Return the first group of `pattern` in a name.

    Raises
    ------
    ArchiveError
        If the name does not match: with `where` it stands and the `shape` that it should have.
    """
    match = pattern.fullmatch(name)
    if not match:
        raise ArchiveError(f"{where}: {name!r} is not named {shape}: not of ILSVRC2012's layout")
    return match.group(1)


def check_train_images(locations: list[ImageLocation], where: str) -> list[ImageLocation]:
    """Return the training images of one synset, after checking their names and sizes.

    Raises
    ------
    ArchiveError
        If a name is not ``<synset>_<n>.JPEG`` of the image's own synset, or as `check_images`.
    """
    for location in locations:
        if match_name(_TRAIN_IMAGE, location.name, where, "<synset>_<n>.JPEG") != location.synset:
            raise ArchiveError(f"{where}: {location.name} lies among the images of {location.synset}")
    return check_images(locations, where)


def check_images(locations: list[ImageLocation], where: str) -> list[ImageLocation]:
    """Return images after checking that there are some, none empty and none twice; raises `ArchiveError`."""
    if not locations:
        raise ArchiveError(f"{where}: there is no image")
    for location in locations:
        if location.size == 0:
            raise ArchiveError(f"{where}: {location.name} is empty")
    name, count = Counter(location.name for location in locations).most_common(1)[0]
    if count > 1:
        raise ArchiveError(f"{where}: {name} is there {count} times")
    return locations


def validation_numbers(names: Iterable[str], labels: int, where: Path, table: Path) -> list[int]:
    """Return the numbers of validation images, from 1, after checking that there is one for each line of the table.

    Raises
    ------
    ArchiveError
        If a name is not ``ILSVRC2012_val_<8 digits>.JPEG``, or the table has no such line.
    TableError
        If the table has not as many lines as there are images.
    """
    numbers = [int(match_name(_VALIDATION_IMAGE, name, str(where), "ILSVRC2012_val_<8 digits>.JPEG")) for name in names]
    if len(numbers) != labels:
        raise TableError(
            f"{table}:{labels}: the table has {labels} lines, but {where} holds {len(numbers)} validation images; "
            "line n labels image n"
        )
    outside = [number for number in numbers if not 1 <= number <= labels]
    if outside:
        raise ArchiveError(f"{where}: ILSVRC2012_val_{outside[0]:08}.JPEG: {table} has no line {outside[0]}")
    return numbers


def validation_annotation(name: str, xml: bytes, labels: Sequence[str], where: str) -> Annotation:
    """Return the annotation of a validation image, given the path of its file and the lines of the validation table.

    Raises
    ------
    ArchiveError
        If it is not named as such, or the table has no such line.
    """
    match = VALIDATION_ANNOTATION.fullmatch(name)
    if not match:
        raise ArchiveError(f"{where}: {name!r} is not named ILSVRC2012_val_<8 digits>.xml: not of ILSVRC2012's layout")
    image, number = match[1], int(match[2])
    if not 1 <= number <= len(labels):
        raise ArchiveError(f"{where}: {name}: the table of validation images has no line {number}")
    return Annotation(labels[number - 1], image, xml)
