"""The images of a build as tables: where they lie, and how large they are."""

from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from luigi_ilsvrc.dataset.images import as_rgb_jpeg
from luigi_ilsvrc.dataset.splits import SPLITS
from luigi_ilsvrc.errors import BuildError
from luigi_ilsvrc.formats.details import RecordDetails, change_of, details_of
from luigi_ilsvrc.layouts.index import FIELDS, ImageLocation, index_file
from luigi_ilsvrc.layouts.reader import ImageReader
from luigi_ilsvrc.report.build import ReportedBuild
from luigi_ilsvrc.report.joined import joined
from luigi_ilsvrc.storage.details import read_details
from luigi_ilsvrc.storage.trailer import DamagedFileError

SAMPLE = {"train": 1000, "validation": 200}
"""Images whose headers are read, if no records tell their sizes."""

_TYPES = {"height": "int32", "width": "int32", "size": "int64", "odd": "category"}


Positions = np.ndarray[tuple[int], np.dtype[np.int64]]


class Images(NamedTuple):
    """The images of all splits, or a sample of them.

    Attributes
    ----------
    table : DataFrame
        The columns of `RecordDetails` but offset and length, and ``split`` and ``shard``; no shard in a sample.
    is_sample : bool
        Whether these are a sample.
    problems : list of str
        What could not be read.
    """

    table: pd.DataFrame
    is_sample: bool
    problems: list[str]

    def of(self, split: str) -> pd.DataFrame:
        """Return the images of a split."""
        return self.table[self.table["split"] == split]

    def odd(self, trait: str) -> pd.DataFrame:
        """Return the images that have a trait, such as ``grey``, or one that begins so, such as ``exif``."""
        odd = self.table["odd"]
        # There are few combinations, and a million images.
        having = [it for it in odd.cat.categories if any(word.startswith(trait) for word in str(it).split(" "))]
        return self.table[odd.isin(having)]


def read_index_table(index: Path, synsets: Mapping[str, str]) -> pd.DataFrame:
    """Read where all images of a split lie: the columns of an index, synset by synset."""
    header = ",".join(FIELDS).encode() + b"\n"
    rows = ((index / index_file(synset)).read_bytes()[len(header) :] for synset in synsets)
    types = {"synset": "category", "file": "category", "offset": "int64", "size": "int64"}
    return pd.read_csv(joined(chain([header], rows)), dtype=types)


def read_taken(build: ReportedBuild, split: str) -> pd.DataFrame:
    """Read where the images of a split lie that a build takes."""
    table = read_index_table(build.indexes[split], build.class_names)
    takes = build.takes.get(split)
    if takes is None:
        return table
    is_taken = [takes(synset, name) for synset, name in zip(table["synset"], table[FIELDS[0]], strict=True)]
    return table[is_taken].reset_index(drop=True)


def location(row: "pd.Series[Any]") -> ImageLocation:
    """Return where the image of a row of an index table lies."""
    name, synset, file, offset, size = (row[field] for field in FIELDS)
    return ImageLocation(str(name), str(synset), str(file), int(str(offset)), int(str(size)))


def locate(index: pd.DataFrame, positions: Positions) -> list[ImageLocation]:
    """Return where the images at some positions of an index table lie."""
    return [location(row) for _, row in index.iloc[positions].iterrows()]


def reader_of(build: ReportedBuild, split: str) -> ImageReader:
    """Return what reads the images of a split, wherever they lie."""
    return ImageReader(build.paths.dataset, build.paths.class_folders(split))


def read_images(build: ReportedBuild, indexes: Mapping[str, pd.DataFrame]) -> Images:
    """Return what was seen of all images while records were made; without records, what a sample of them shows."""
    if not build.formats:
        return _sample(build, indexes)
    problems: list[str] = []
    tables = [_read_shards(build, split, problems).assign(split=split) for split in SPLITS]
    if not problems:
        return Images(_concat(tables), False, [])
    images = _sample(build, indexes)
    return Images(images.table, True, problems + images.problems)


def _read_shards(build: ReportedBuild, split: str, problems: list[str]) -> pd.DataFrame:
    """Read the details of all shards of a split; what is wrong with them is added to `problems`."""
    counts: list[int] = []

    def lines() -> Iterator[bytes]:
        yield ",".join(RecordDetails._fields).encode() + b"\n"
        for shard in build.shards(build.formats[0], split):
            try:
                rows = read_details(build.paths.details(shard)).partition("\n")[2].encode()
            except (DamagedFileError, OSError) as error:
                problems.append(str(error))
                rows = b""
            counts.append(rows.count(b"\n"))
            yield rows

    columns = [name for name in RecordDetails._fields if name not in ("offset", "length")]
    table = pd.read_csv(joined(lines()), dtype=_TYPES, usecols=columns)
    return table.assign(shard=np.repeat(np.arange(len(counts)), counts))


def _concat(tables: list[pd.DataFrame]) -> pd.DataFrame:
    table = pd.concat(tables, ignore_index=True)
    return table.assign(odd=table["odd"].astype("category"), split=table["split"].astype("category"))


def _sample(build: ReportedBuild, indexes: Mapping[str, pd.DataFrame]) -> Images:
    """Read a fixed sample, spread evenly over each split."""
    rows, problems = [], []
    for split, index in indexes.items():
        positions = np.unique(np.linspace(0, len(index) - 1, SAMPLE[split] if len(index) else 0).astype(int))
        with reader_of(build, split) as reader:
            for place in locate(index, positions):
                try:
                    original = reader.read(place)
                    image = as_rgb_jpeg(original)
                except BuildError as error:
                    problems.append(str(error))
                    continue
                rows.append((*details_of(place, image, 0, 0, change_of(image, original, None)), split))
    table = pd.DataFrame(rows, columns=[*RecordDetails._fields, "split"]).drop(columns=["offset", "length"])
    return Images(table.assign(odd=table["odd"].astype("category")), True, problems)


def find_names(wanted: "pd.Series[str]", among: "pd.Series[str]") -> Positions:
    """Return where each of some names stands among others; -1 if it does not.

    By sorted bytes: a tenth of the time and memory that pandas takes to compare a million strings.
    """
    sought, given = _as_bytes(wanted), _as_bytes(among)
    if not len(given):
        return np.full(len(sought), -1)
    order = np.argsort(given, kind="stable")
    places = order[np.minimum(np.searchsorted(given, sought, sorter=order), len(given) - 1)]
    return np.where(given[places] == sought, places, -1)


def _as_bytes(names: "pd.Series[str]") -> Any:
    return np.array([name.encode() for name in names], dtype=np.bytes_)
