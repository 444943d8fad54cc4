"""Where each image of parquet files will lie in an archive of the official layout.

The archive has its synsets in the order of the table, and the images of each (or all, if there are no inner tars)
sorted by name, so that its bytes do not depend on the order of the rows. The lists are Arrow tables: 1.28 million
images take 100 MB in them, and some times that as Python's own objects.
"""

import hashlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from luigi_ilsvrc.dataset.splits import TRAIN
from luigi_ilsvrc.dataset.synsets import LabelTables
from luigi_ilsvrc.dataset.tar_header import BLOCK
from luigi_ilsvrc.dataset.tar_writer import header, size_in_tar, tar_size
from luigi_ilsvrc.layouts.tar import ArchiveError
from luigi_ilsvrc.storage.manifest import Entry, Manifest

if TYPE_CHECKING:
    import pyarrow

_SYNSET_LENGTH = len("n01440764")
_SLICE = 10_000
"""Images that are Python's own objects at once."""


class PlannedImage(NamedTuple):
    """An image: its name, inner tar (empty if there is none), offset in bytes, size and CRC-32, and parquet file."""

    name: str
    tar: str
    offset: int
    entry: Entry
    file: int


class FileImages(NamedTuple):
    """What a parquet file holds: its images as an Arrow table (name, tar, size, crc32), and a digest of that."""

    table: "pyarrow.Table"
    digest: str


@dataclass(frozen=True)
class ArchivePlan:
    """An archive that is to be written.

    Attributes
    ----------
    size : int
        Its bytes.
    digest : str
        The SHA-256, in hexadecimal digits, of all that it depends on: which file holds which images.
    headers : list of tuple of (int, bytes)
        Offset and contents of the header of each inner tar.
    tars : list of str
        The name of each inner tar; one empty name if there are none.
    table : pyarrow.Table
        The images in the archive's order: name, tar (a number in `tars`), size, crc32, file (a number), offset.
    """

    size: int
    digest: str
    headers: list[tuple[int, bytes]]
    tars: list[str]
    table: "pyarrow.Table"

    def images(self) -> Iterator[PlannedImage]:
        """Yield the images in the archive's order."""
        return self._rows(self.table)

    def images_of(self, file: int) -> dict[str, PlannedImage]:
        """Return the images of one parquet file, by name."""
        import pyarrow.compute

        rows = self.table.filter(pyarrow.compute.equal(self.table["file"], file))
        return {image.name: image for image in self._rows(rows)}

    def image_bytes(self) -> int:
        """Return how many bytes all images have together."""
        import pyarrow.compute

        return int(pyarrow.compute.sum(self.table["size"]).as_py())

    def _rows(self, table: "pyarrow.Table") -> Iterator[PlannedImage]:
        columns = table.select(["name", "tar", "offset", "size", "crc32", "file"])
        for start in range(0, len(table), _SLICE):
            values = (column.to_pylist() for column in columns.slice(start, _SLICE).columns)
            for name, tar, offset, size, crc32, file in zip(*values, strict=True):
                yield PlannedImage(name, self.tars[tar], offset, Entry(size, crc32), file)


def list_images(notes: Manifest, split: str, labels: dict[str, int]) -> FileImages:
    """Return the images of a parquet file as a part of a plan; `labels` are the numbers of the synsets, from 0."""
    import pyarrow

    names, entries = list(notes.files), list(notes.files.values())
    table = pyarrow.table(
        {
            "name": pyarrow.array(names, pyarrow.string()),
            "tar": pyarrow.array(
                [labels[name[:_SYNSET_LENGTH]] if split == TRAIN else 0 for name in names], pyarrow.int32()
            ),
            "size": pyarrow.array([entry.size for entry in entries], pyarrow.int64()),
            "crc32": pyarrow.array([entry.crc32 for entry in entries], pyarrow.uint32()),
        }
    )
    return FileImages(table, notes.digest)


def plan_archive(files: Sequence[Path], contents: Sequence[FileImages], split: str, tables: LabelTables) -> ArchivePlan:
    """Plan the archive of a split.

    Parameters
    ----------
    files : sequence of Path
        The parquet files.
    contents : sequence of FileImages
        What each of them holds.
    split : str
        ``train`` gets an inner tar for each synset.
    tables : LabelTables
        Of the synsets, or of the validation images.

    Raises
    ------
    ArchiveError
        If an image is there twice, or some are missing: all of a synset, or one that the validation table has.
    """
    import pyarrow

    parts = [
        item.table.append_column("file", pyarrow.repeat(pyarrow.scalar(number, pyarrow.int32()), len(item.table)))
        for number, item in enumerate(contents)
    ]
    table = pyarrow.concat_tables(parts).sort_by([("tar", "ascending"), ("name", "ascending")]).combine_chunks()
    _check_no_duplicates(table, files)
    if split == TRAIN:
        synsets = tables.synsets()
        _check_synsets(table, synsets, files[0].parent)
        tars = [f"{synset}.tar" for synset in synsets]
    else:
        _check_numbers(table, tables, files[0].parent)
        tars = [""]
    size, headers, offsets = _place(table, tars)
    table = table.append_column("offset", pyarrow.array(offsets, pyarrow.int64()))
    return ArchivePlan(size, _digest(files, contents), headers, tars, table)


def _check_no_duplicates(table: "pyarrow.Table", files: Sequence[Path]) -> None:
    import pyarrow.compute

    names = table["name"]
    first = pyarrow.compute.index(pyarrow.compute.equal(names.slice(1), names.slice(0, len(names) - 1)), True).as_py()
    if len(table) > 1 and first >= 0:
        [one, other] = table["file"].slice(first, 2).to_pylist()
        raise ArchiveError(
            f"{files[other]}: {names[first].as_py()} is in {files[one]} too; keep the files of one copy of the data set"
        )


def _check_synsets(table: "pyarrow.Table", synsets: Sequence[str], folder: Path) -> None:
    found = set(table["tar"].unique().to_pylist())
    missing = [synset for label, synset in enumerate(synsets) if label not in found]
    if missing:
        raise ArchiveError(
            f"{folder}: {len(missing)} of the {len(synsets)} synsets have no image in the parquet files, such as "
            f"{missing[0]}; download all files of the split, or give the table they were made with"
        )


def _check_numbers(table: "pyarrow.Table", tables: LabelTables, folder: Path) -> None:
    labels = len(tables.validation_labels())
    if len(table) != labels:
        found = set(table["name"].to_pylist())
        names = (f"ILSVRC2012_val_{number:08}.JPEG" for number in range(1, labels + 1))
        missing = next(name for name in names if name not in found)
        raise ArchiveError(
            f"{folder}: {len(table):,} validation images are in the parquet files, but "
            f"{tables.validation_synset_labels} has {labels:,} lines; {missing} is missing: download all files of the "
            "split, or give the table they were made with"
        )


def _place(table: "pyarrow.Table", tars: Sequence[str]) -> tuple[int, list[tuple[int, bytes]], "array[int]"]:
    """Return the archive's size, the headers of the inner tars, and the offset of each image."""
    counts = {it["values"]: it["counts"] for it in table["tar"].value_counts().to_pylist()}
    headers: list[tuple[int, bytes]] = []
    offsets = array("q")
    position = first = 0
    tar_sizes = []
    for number, tar in enumerate(tars):
        sizes = table["size"].slice(first, counts[number]).to_pylist()
        first += counts[number]
        tar_sizes.append(tar_size(sizes))
        if tar:
            headers.append((position, header(tar, tar_sizes[-1])))
            position += BLOCK
        _place_in_tar(sizes, position, offsets)
        position += tar_sizes[-1]
    return tar_size(tar_sizes) if headers else tar_sizes[0], headers, offsets


def _place_in_tar(sizes: Sequence[int], start: int, offsets: "array[int]") -> None:
    for size in sizes:
        offsets.append(start + BLOCK)
        start += size_in_tar(size)


def _digest(files: Sequence[Path], contents: Sequence[FileImages]) -> str:
    lines = [f"{item.digest} {file.name}\n" for file, item in zip(files, contents, strict=True)]
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()
