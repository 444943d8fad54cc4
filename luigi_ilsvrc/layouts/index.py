"""The index of a split: where each of its images lies, one CSV a synset."""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from luigi_ilsvrc.dataset.synsets import SYNSET
from luigi_ilsvrc.layouts.tar import ArchiveError
from luigi_ilsvrc.storage import disk


class ImageLocation(NamedTuple):
    """Where one image lies.

    Attributes
    ----------
    name : str
        ``n01440764_10026.JPEG``, ``ILSVRC2012_val_00000001.JPEG``.
    synset : str
        What it shows.
    file : str
        The file that holds it, relative to the data set's folder: an archive, or the image itself.
    offset, size : int
        Its bytes in that file.
    """

    name: str
    synset: str
    file: str
    offset: int
    size: int


FIELDS = ImageLocation._fields
"""The columns of an index."""

_HEADER = ",".join(FIELDS)
# All that `write_index` writes: the file may be quoted, the other fields never need it.
_ROW = re.compile(r'([^,"\n]*),([^,"\n]*),("(?:[^"\n]|"")*"|[^,"\n]*),([^,"\n]*),([^,"\n]*)')
_NAME = re.compile(r"(?!\.{1,2}$)[^/\0-\x1f,\"]+")
_WHOLE_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")
_MAX_OFFSET = (1 << 63) - 1
"""Of a file, POSIX off_t."""

_REMEDY = "delete the index folder and run the build again"


def index_file(synset: str) -> str:
    """Return the name of a synset's file in an index."""
    return f"{synset}.csv"


def write_index(locations: Iterable[ImageLocation], synsets: Iterable[str], directory: Path) -> None:
    """Write ``<directory>/<synset>.csv`` for each synset: the fields of `ImageLocation`, sorted by image name."""
    by_synset: dict[str, list[ImageLocation]] = {synset: [] for synset in synsets}
    for location in locations:
        by_synset[location.synset].append(location)
    for synset, images in by_synset.items():
        write_synset(images, synset, directory)


def write_synset(images: Iterable[ImageLocation], synset: str, directory: Path) -> None:
    """Write the images of one synset; see `write_index`."""
    with (directory / index_file(synset)).open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(FIELDS)
        writer.writerows(sorted(images))


def count_images(directory: Path) -> int:
    """Return how many images an index has: the lines of its files but the first. Raises OSError."""
    return sum(path.read_bytes().count(b"\n") - 1 for path in directory.iterdir())


def read_index(directory: Path, synset: str) -> list[ImageLocation]:
    """Read where the images of one synset lie, sorted by name.

    Raises
    ------
    ArchiveError
        If the index has no such synset, or its file is not what `write_index` wrote.
    """
    return [location for location, _ in _read(directory, synset)]


def read_whole_index(directory: Path, synsets: Iterable[str]) -> Iterator[ImageLocation]:
    """Yield where the images of all `synsets` lie, synset by synset."""
    for synset in synsets:
        yield from read_index(directory, synset)


def read_rows(directory: Path, synset: str) -> list[tuple[str, str]]:
    """Return the name of each image of a synset, and its row of the index as text; raises as `read_index`."""
    return [(location.name, row) for location, row in _read(directory, synset)]


def _read(directory: Path, synset: str) -> list[tuple[ImageLocation, str]]:
    path = directory / index_file(synset)
    try:
        lines = read_lines(path, _HEADER)
    except FileNotFoundError as error:
        raise ArchiveError(f"{directory}: {synset} is not among the synsets that were indexed") from error
    except ValueError as error:
        raise damaged(path, error) from error
    found: list[tuple[ImageLocation, str]] = []
    for number, row in enumerate(lines, start=2):
        try:
            location = _parse_row(row)
            if location.synset != synset:
                raise ValueError(f"{location.name} is an image of {location.synset}")
            if found and location.name <= found[-1][0].name:
                raise ValueError(f"{location.name} is there twice, or not in order")
        except ValueError as error:
            raise damaged(f"{path}:{number}", error) from error
        found.append((location, row))
    return found


def damaged(where: object, reason: object) -> ArchiveError:
    """Return the error about a file of the index folder that is not as it was written."""
    return ArchiveError(f"{where}: {reason}; {_REMEDY}")


def read_lines(path: Path, header: str) -> list[str]:
    """Read the lines of a file of the index folder after its header.

    Raises
    ------
    ValueError
        If it is not UTF-8, has another header, or ends within a line.
    FileNotFoundError
        If it is not there.
    """
    try:
        with disk.reading(path):
            text = path.read_bytes().decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 text from byte {error.start} on") from error
    if not text:
        raise ValueError("it is empty")
    first, *lines = text.split("\n")
    if first != header:
        raise ValueError(f"its first line is not {header!r}")
    if not lines or lines.pop():
        raise ValueError("it ends within a line")
    return lines


def _parse_row(row: str) -> ImageLocation:
    match = _ROW.fullmatch(row)
    if match is None:
        raise ValueError(f"not a row of {len(FIELDS)} fields")
    name, synset, file, offset, size = match.groups()
    if file.startswith('"'):
        file = file[1:-1].replace('""', '"')
    return _location(name, synset, file, offset, size)


def parse_location(row: Mapping[str, str]) -> ImageLocation:
    """Take an image's location out of a row, by the names of its columns.

    Raises
    ------
    ValueError
        If a number is none, or a path leads out of the data set's folder.
    """
    return _location(*(row[field] for field in FIELDS))


def _location(name: str, synset: str, file: str, offset: str, size: str) -> ImageLocation:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of an image")
    if not SYNSET.fullmatch(synset):
        raise ValueError(f"{synset!r} is not a synset")
    if not file or file[0] == "/" or "\0" in file or (".." in file and ".." in file.split("/")):
        raise ValueError(f"{file!r} is not a file in the data set's folder")
    if not _WHOLE_NUMBER.fullmatch(offset) or not _WHOLE_NUMBER.fullmatch(size):
        raise ValueError(f"{offset!r} and {size!r} are not an offset and a size")
    location = ImageLocation(name, synset, file, int(offset), int(size))
    if location.offset + location.size > _MAX_OFFSET:
        raise ValueError(f"offset {offset} and size {size} lie beyond any file")
    return location
