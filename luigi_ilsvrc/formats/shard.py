"""Writing a shard, in any format, from its plan."""

import os
from collections.abc import Sequence
from io import FileIO
from pathlib import Path
from typing import NamedTuple, Protocol

from luigi_ilsvrc.dataset.images import ImageError, RGBImage, as_rgb_jpeg
from luigi_ilsvrc.dataset.resize import Resize, smaller
from luigi_ilsvrc.errors import BuildError, list_reasons
from luigi_ilsvrc.formats.details import RecordDetails, change_of, details_of
from luigi_ilsvrc.formats.plan import PlannedImage
from luigi_ilsvrc.layouts.reader import ImageReader
from luigi_ilsvrc.progress import Progress, no_progress
from luigi_ilsvrc.storage import disk, disk_advice, publish
from luigi_ilsvrc.storage.manifest import Entry, add_to_entry

_WRITE_AT_ONCE = 1 << 20
"""Bytes that are written by one call: on a network file system each call may be a request."""

_MOST_CHUNKS = 1024
"""That one call takes: IOV_MAX, see writev(2)."""

_WRITE_EVERY = 8 << 20
"""Bytes after which the disk begins to write them, so that it has not all to do when the shard is complete."""


class ShardError(BuildError):
    """A shard cannot be made, or is not what was planned."""


class RecordFormat(Protocol):
    """The part of `formats.table.Format` that writing takes."""

    END: bytes

    def encode(self, image: PlannedImage, jpeg: RGBImage) -> Sequence[bytes]:
        """Return the record of an image, in chunks."""

    def frame(self, chunks: Sequence[bytes]) -> Sequence[bytes]:
        """Return a record as it stands in a shard."""


class WrittenShard(NamedTuple):
    """A shard: size and CRC-32 of its file, and the details of each record, in their order."""

    entry: Entry
    records: list[RecordDetails]


class ShardFile:
    """A shard that is being written; a context manager that keeps count of what was written.

    Parameters
    ----------
    path : Path
        The file; what it holds is overwritten.

    Attributes
    ----------
    entry : Entry
        Size and CRC-32 of what was written.
    """

    def __init__(self, path: Path) -> None:
        self._file = FileIO(str(path), "wb")
        self.entry = Entry(0, 0)
        self._chunks: list[bytes] = []
        self._written = self._begun = 0

    def __enter__(self) -> "ShardFile":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._write_chunks()
        finally:
            self._file.close()

    def write(self, chunks: Sequence[bytes]) -> None:
        """Append bytes, given in chunks; raises OSError, which names the file, if the disk does not accept them.

        That may be while later ones are appended, or when the file is closed.
        """
        self._chunks += chunks
        self.entry = add_to_entry(self.entry, chunks)
        if self.entry.size - self._written >= _WRITE_AT_ONCE or len(self._chunks) >= _MOST_CHUNKS:
            self._write_chunks()

    def _write_chunks(self) -> None:
        try:
            self._write_all(self._chunks)
        except OSError as error:
            error.filename = self._file.name
            raise
        self._chunks = []
        self._written = self.entry.size
        if self._written - self._begun >= _WRITE_EVERY:
            disk_advice.written(self._file.fileno(), self._begun, self._written - self._begun)
            self._begun = self._written

    def _write_all(self, chunks: Sequence[bytes]) -> None:
        for first in range(0, len(chunks), _MOST_CHUNKS):
            self._write_at_once(chunks[first : first + _MOST_CHUNKS])

    def _write_at_once(self, chunks: Sequence[bytes]) -> None:
        written = os.writev(self._file.fileno(), chunks)
        if written < sum(map(len, chunks)):
            # A disk that is almost full accepts a part, and gives the reason when the rest is written.
            publish.write_all(self._file.fileno(), memoryview(b"".join(chunks))[written:])


def image_of_record(original: bytes, resize: Resize | None) -> RGBImage:
    """Return the image that a record has, given the image's file. Raises `ImageError`."""
    image = as_rgb_jpeg(original)
    return image if resize is None else smaller(image, resize)


def write_shard(
    record_format: RecordFormat,
    reader: ImageReader,
    images: Sequence[PlannedImage],
    path: Path,
    progress: Progress = no_progress,
    resize: Resize | None = None,
) -> WrittenShard:
    """Write a record for each of `images`, in their order; progress counts images.

    If `resize` is given, images that are larger are made smaller.

    Raises
    ------
    ShardError
        Naming the images that cannot be used and where they lie: all are counted, the first ten named with reasons.
    ArchiveError
        If an image cannot be read, see `ImageReader.read`.
    DiskError
        If the shard will not fit.
    OSError
        If it cannot be written.
    """
    if resize is None:
        disk.check_free_space({path: sum(image.location.size for image in images)})
    bad: list[str] = []
    records: list[RecordDetails] = []
    with ShardFile(path) as shard:
        contents = reader.read_all([image.location for image in images])
        for done, (image, original) in enumerate(zip(images, contents, strict=True), start=1):
            try:
                jpeg = image_of_record(original, resize)
            except ImageError as error:
                bad.append(f"{reader.describe(image.location)}: {error}")
            else:
                start = shard.entry.size
                shard.write(record_format.frame(record_format.encode(image, jpeg)))
                change = change_of(jpeg, original, resize)
                records.append(details_of(image.location, jpeg, start, shard.entry.size - start, change))
            progress("writing", done, len(images), "images")
        shard.write([record_format.END])
    if bad:
        raise ShardError(f"{len(bad)} images cannot be used; is the archive the official one?{list_reasons(bad)}")
    return WrittenShard(shard.entry, records)
