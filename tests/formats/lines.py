"""A format of the tests' own: one line of text a record, ``<image>``, label, and the image's bytes in base 64.

It has no checksums, so that only the comparison with plan and image finds what is damaged.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from luigi_ilsvrc.dataset.images import RGBImage
from luigi_ilsvrc.formats.plan import PlannedImage
from luigi_ilsvrc.formats.shard import ShardError

NAME = "lines"
FOLDER = "lines"
TASK = "Lines"


def shard_name(split: str, shard: int, num_shards: int) -> str:
    return f"{split}-{shard}-of-{num_shards}.txt"


def is_shard_name(name: str) -> bool:
    return re.fullmatch(r"(train|validation)-\d+-of-\d+\.txt", name) is not None


def encode(image: PlannedImage, jpeg: RGBImage) -> list[bytes]:
    return [f"{image.location.name} {image.label} ".encode(), b64encode(jpeg.encoded)]


class LineWriter:
    """An open shard."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, chunks: Sequence[bytes]) -> None:
        self._file.writelines([*chunks, b"\n"])


@contextmanager
def open_writer(path: Path) -> Iterator[LineWriter]:
    with path.open("wb") as file:
        yield LineWriter(file)


def read_records(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n"):
                raise ShardError("the last line has no end")
            yield line[:-1]


def image_in(record: bytes) -> bytes:
    try:
        return b64decode(record.rpartition(b" ")[2], validate=True)
    except ValueError as error:
        raise ShardError("not base 64") from error
