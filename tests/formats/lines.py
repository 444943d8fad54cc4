"""A format of the tests' own: one line of text a record, ``<image>``, label, and the image's bytes in base 64.

It has no checksums, so that only the comparison with plan and image finds what is damaged.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Iterator, Sequence
from pathlib import Path

from luigi_ilsvrc.dataset.images import RGBImage
from luigi_ilsvrc.formats.plan import PlannedImage
from luigi_ilsvrc.formats.shard import ShardError
from luigi_ilsvrc.formats.side_files import SideFiles

NAME = "lines"
FOLDER = "lines"
TASK = "Lines"
COUNT_IN_NAME = True
SIDE_FILES: tuple[SideFiles, ...] = ()


def shard_name(split: str, shard: int, num_shards: int) -> str:
    return f"{split}-{shard}-of-{num_shards}.txt"


def is_shard_name(name: str) -> bool:
    return re.fullmatch(r"(train|validation)-\d+-of-\d+\.txt", name) is not None


def encode(image: PlannedImage, jpeg: RGBImage) -> list[bytes]:
    return [f"{image.location.name} {image.label} ".encode(), b64encode(jpeg.encoded)]


def frame(chunks: Sequence[bytes]) -> list[bytes]:
    return [*chunks, b"\n"]


END = b"end\n"


def read_records(path: Path) -> Iterator[bytes]:
    *lines, end = path.read_bytes().splitlines(keepends=True) or [b""]
    yield from (line[:-1] for line in lines)
    if end != END:
        raise ShardError("the last line is not the end of a shard")


def image_in(record: bytes) -> bytes:
    try:
        return b64decode(record.rpartition(b" ")[2], validate=True)
    except ValueError as error:
        raise ShardError("not base 64") from error
