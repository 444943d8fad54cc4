"""Writing a shard, in any format, from its plan."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from luigi_ilsvrc.dataset.images import ImageError, RGBImage, as_rgb_jpeg
from luigi_ilsvrc.errors import BuildError, list_reasons
from luigi_ilsvrc.formats.plan import PlannedImage
from luigi_ilsvrc.layouts.reader import ImageReader
from luigi_ilsvrc.progress import Progress, no_progress
from luigi_ilsvrc.storage import disk


class ShardError(BuildError):
    """A shard cannot be made, or is not what was planned."""


class RecordWriter(Protocol):
    """An open shard."""

    def write(self, chunks: Sequence[bytes]) -> None:
        """Append a record, given in chunks. Raises OSError, which names the file."""


class RecordFormat(Protocol):
    """The part of `formats.table.Format` that writing takes."""

    @property
    def open_writer(self) -> Callable[[Path], AbstractContextManager[RecordWriter]]:
        """Opens a new shard."""

    def encode(self, image: PlannedImage, jpeg: RGBImage) -> Sequence[bytes]:
        """Return the record of an image, in chunks."""


def write_shard(
    record_format: RecordFormat,
    reader: ImageReader,
    images: Sequence[PlannedImage],
    path: Path,
    progress: Progress = no_progress,
) -> None:
    """Write a record for each of `images`, in their order; progress counts images.

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
    disk.check_free_space({path: sum(image.location.size for image in images)})
    bad: list[str] = []
    with record_format.open_writer(path) as writer:
        for done, image in enumerate(images, start=1):
            try:
                jpeg = as_rgb_jpeg(reader.read(image.location))
            except ImageError as error:
                bad.append(f"{reader.describe(image.location)}: {error}")
            else:
                writer.write(record_format.encode(image, jpeg))
            progress("writing", done, len(images), "images")
    if bad:
        raise ShardError(f"{len(bad)} images cannot be used; is the archive the official one?{list_reasons(bad)}")
