"""The formats that shards are written in."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from luigi_ilsvrc.dataset.images import RGBImage
from luigi_ilsvrc.formats import tfrecord, webdataset
from luigi_ilsvrc.formats.plan import PlannedImage
from luigi_ilsvrc.formats.side_files import SideFiles


class Format(Protocol):
    """What a module of this package offers.

    Attributes
    ----------
    FOLDER : str
        The folder of its shards, below ``ilsvrc2012/``.
    TASK : str
        Begins the names of its tasks: ``TFRecord`` gives ``TFRecordShard`` and ``TFRecords``.
    COUNT_IN_NAME : bool
        Whether the name of a shard tells how many there are; if not, shards of one number alone lie in the folder.
    END : bytes
        What stands behind the last record of a shard.
    SIDE_FILES : tuple of SideFiles
        What readers want beside the shards.
    """

    FOLDER: str
    TASK: str
    COUNT_IN_NAME: bool
    END: bytes
    SIDE_FILES: tuple[SideFiles, ...]

    def shard_name(self, split: str, shard: int, num_shards: int) -> str:
        """Return the file name of a shard, counted from 0."""

    def is_shard_name(self, name: str) -> bool:
        """Tell whether `shard_name` gives this name, for any split and any number of shards."""

    def encode(self, image: PlannedImage, jpeg: RGBImage) -> Sequence[bytes]:
        """Return the record of an image, in chunks; the same bytes whenever and wherever."""

    def frame(self, chunks: Sequence[bytes]) -> Sequence[bytes]:
        """Return a record, given in chunks, as it stands in a shard."""

    def read_records(self, path: Path) -> Iterator[bytes]:
        """Yield the records of a shard. Raises `ShardError` or OSError."""

    def image_in(self, record: bytes) -> bytes:
        """Return the bytes of the image in a record. Raises `ShardError` if it is not one of this format."""


FORMATS: dict[str, Format] = {"tfrecord": tfrecord, "webdataset": webdataset}
"""By the name that ``--formats`` takes."""
