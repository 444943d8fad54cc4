"""The index of a split: where each of its images lies, one CSV a synset."""

import csv
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from luigi_ilsvrc.layouts.tar import ArchiveError


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


def index_file(synset: str) -> str:
    """Return the name of a synset's file in an index."""
    return f"{synset}.csv"


def write_index(locations: Iterable[ImageLocation], synsets: Iterable[str], directory: Path) -> None:
    """Write ``<directory>/<synset>.csv`` for each synset: the fields of `ImageLocation`, sorted by image name."""
    by_synset: dict[str, list[ImageLocation]] = {synset: [] for synset in synsets}
    for location in locations:
        by_synset[location.synset].append(location)
    for synset, images in by_synset.items():
        with (directory / index_file(synset)).open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(FIELDS)
            writer.writerows(sorted(images))


def read_index(directory: Path, synset: str) -> list[ImageLocation]:
    """Read where the images of one synset lie, sorted by name.

    Raises
    ------
    ArchiveError
        If the index has no such synset.
    """
    try:
        with (directory / index_file(synset)).open(newline="") as file:
            return [parse_location(row) for row in csv.DictReader(file)]
    except FileNotFoundError as error:
        raise ArchiveError(f"{directory}: {synset} is not among the synsets that were indexed") from error


def read_whole_index(directory: Path, synsets: Iterable[str]) -> Iterator[ImageLocation]:
    """Yield where the images of all `synsets` lie, synset by synset."""
    for synset in synsets:
        yield from read_index(directory, synset)


def read_rows(directory: Path, synset: str) -> list[tuple[str, str]]:
    """Return the name of each image of a synset, and its row of the index as text, without parsing the rest of it."""
    rows = (directory / index_file(synset)).read_text().splitlines()[1:]
    return [(row.partition(",")[0], row) for row in rows]


def parse_location(row: Mapping[str, str]) -> ImageLocation:
    """Take an image's location out of a row, by the names of its columns."""
    return ImageLocation(row["name"], row["synset"], row["file"], int(row["offset"]), int(row["size"]))
