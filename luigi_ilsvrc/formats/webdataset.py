"""WebDataset: three files an image, in plain tars: ``<stem>.jpg``, ``<stem>.cls`` and ``<stem>.json``.

The tars are of POSIX "ustar" members without owner and time, so that they are the same bytes everywhere. What a sample
is: https://github.com/webdataset/webdataset, files of one name up to the first dot, one after the other.
"""

import itertools
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from io import BufferedReader
from pathlib import Path
from typing import Any, NamedTuple

from luigi_ilsvrc.dataset.images import RGBImage
from luigi_ilsvrc.dataset.splits import SPLITS
from luigi_ilsvrc.dataset.tar_header import BLOCK, is_header, parse_octal
from luigi_ilsvrc.dataset.tar_writer import header, padding, size_in_tar
from luigi_ilsvrc.formats.details import RecordDetails
from luigi_ilsvrc.formats.plan import PlannedImage
from luigi_ilsvrc.formats.shard import ShardError
from luigi_ilsvrc.formats.side_files import SideFiles, Splits, WrittenShard, each_shard

# The format, see `formats.table.Format` ----------------------------------------------------------------

FOLDER = "webdataset"
TASK = "WebDataset"
COUNT_IN_NAME = False

END = bytes(2 * BLOCK)
"""A tar ends with two empty blocks."""

_PREFIX = "imagenet1k"
_ENDING = ".tar"
_SHARD_NAME = re.compile(rf"{_PREFIX}-(?:{'|'.join(SPLITS)})-[0-9]+{re.escape(_ENDING)}")


def shard_name(split: str, shard: int, num_shards: int) -> str:
    """Return the file name of a shard: ``imagenet1k-train-0000.tar``, with as many digits as the last one needs."""
    digits = len(str(num_shards - 1))
    return f"{_PREFIX}-{split}-{shard:0{digits}}{_ENDING}"


def is_shard_name(name: str) -> bool:
    """Tell whether `shard_name` gives this name, for any split and any number of shards."""
    return _SHARD_NAME.fullmatch(name) is not None


def encode(image: PlannedImage, jpeg: RGBImage) -> list[bytes]:
    """Return the sample of an image as it stands in a shard, in chunks: three members of a tar."""
    return [chunk for file in sample_files(image, jpeg) for chunk in (*file[:2], padding(len(file.contents)))]


def frame(chunks: Sequence[bytes]) -> Sequence[bytes]:
    """Return a sample as it stands in a shard: as it is."""
    return chunks


class SampleFile(NamedTuple):
    """One of the files of a sample: its header in the tar, and its contents."""

    header: bytes
    contents: bytes


ENDINGS = ("jpg", "cls", "json")
"""Of the files of a sample, in their order."""


def sample_files(image: PlannedImage, jpeg: RGBImage) -> list[SampleFile]:
    """Return the files of the sample of an image: its JPEG, its label from **0**, and what else is known of it.

    The JSON has ``filename``, ``synset``, ``words``, ``label`` (from **1**), ``height`` and ``width`` (pixels of the
    JPEG) and ``boxes``: a list of ``[xmin, ymin, xmax, ymax]``, relative.
    """
    stem = stem_of(image)
    contents = (jpeg.encoded, label_file(image), json_file(image, jpeg.height, jpeg.width))
    return [
        SampleFile(header(f"{stem}.{ending}", len(content), mtime=0), content)
        for ending, content in zip(ENDINGS, contents, strict=True)
    ]


def stem_of(image: PlannedImage) -> str:
    """Return the name of an image without its ending: the key of its sample."""
    return image.location.name.partition(".")[0]


def label_file(image: PlannedImage) -> bytes:
    """Return the contents of the file with the label, from **0**."""
    return b"%d" % (image.label - 1)


def json_file(image: PlannedImage, height: int, width: int) -> bytes:
    """Return the contents of the JSON file of an image; see `sample_files`."""
    said = {
        "filename": image.location.name,
        "synset": image.location.synset,
        "words": image.text,
        "label": image.label,
        "height": height,
        "width": width,
        "boxes": image.boxes,
    }
    return json.dumps(said, separators=(",", ":")).encode()


def image_in(record: bytes) -> bytes:
    """Return the bytes of the image in a sample. Raises `ShardError` if it does not begin with one."""
    if not is_header(record[:BLOCK]):
        raise ShardError("it does not begin with the header of a file in a tar")
    size = _size_in(record[:BLOCK])
    if len(record) < BLOCK + size:
        raise ShardError("it ends within its image")
    return record[BLOCK : BLOCK + size]


# Beside the shards ----------------------------------------------------------------

INFO_FILE = "_info.json"
_INDEX = ".idx"


def _index_name(shard: str) -> str:
    return f"{shard.removesuffix(_ENDING)}{_INDEX}"


def _index_names(shard_counts: Mapping[str, int]) -> list[str]:
    return [_index_name(shard_name(*shard)) for shard in each_shard(shard_counts)]


def _write_index(splits: Splits) -> Iterator[tuple[str, bytes]]:
    """Yield the index of each shard as DALI's ``wds2idx`` writes it, version 1.2.

    A line for each sample: of each of its files the ending, offset and size of the contents, and the name.
    """
    for shard in itertools.chain.from_iterable(splits.values()):
        samples = zip(shard.read_plan(), shard.records, strict=True)
        lines = [" ".join(_indexed(image, record)) for image, record in samples]
        yield _index_name(shard.name), "".join(f"{line}\n" for line in [f"v1.2 {len(lines)}", *lines]).encode()


def _indexed(image: PlannedImage, record: RecordDetails) -> Iterator[str]:
    position = record.offset
    others = (len(label_file(image)), len(json_file(image, record.height, record.width)))
    for ending, size in zip(ENDINGS, (record.encoded, *others), strict=True):
        yield f"{ending} {position + BLOCK} {size} {stem_of(image)}.{ending}"
        position += size_in_tar(size)


def _write_info(splits: Splits) -> Iterator[tuple[str, bytes]]:
    """Yield the file in which timm's reader of WebDataset looks for splits, ``timm/data/readers/reader_wds.py``."""
    info = {"splits": {split: _split_info(split, shards) for split, shards in splits.items()}}
    yield INFO_FILE, (json.dumps(info, indent=2) + "\n").encode()


def _split_info(split: str, shards: Iterable[WrittenShard]) -> dict[str, Any]:
    lengths = {shard.name: len(shard.records) for shard in shards}
    return {
        "name": split,
        "num_samples": sum(lengths.values()),
        "filenames": list(lengths),
        "shard_lengths": list(lengths.values()),
    }


SIDE_FILES: tuple[SideFiles, ...] = (
    SideFiles(
        task="WebDatasetIndex",
        about="DALI's index of the WebDataset shards of a split.",
        folder="webdataset_index",
        is_by_split=True,
        names=_index_names,
        is_name=lambda name: name.endswith(_INDEX) and is_shard_name(name.removesuffix(_INDEX) + _ENDING),
        write=_write_index,
    ),
    SideFiles(
        task="WebDatasetInfo",
        about="What timm wants to know of the WebDataset shards.",
        folder=FOLDER,
        is_by_split=False,
        names=lambda shard_counts: [INFO_FILE],
        is_name=INFO_FILE.__eq__,
        write=_write_info,
    ),
)

# The file ----------------------------------------------------------------

_SIZE = slice(124, 136)
"""Of a member, in its header."""


def _size_in(block: bytes) -> int:
    try:
        return parse_octal(block[_SIZE])
    except ValueError as error:
        raise ShardError("the header of a file gives no size") from error


def read_records(path: Path) -> Iterator[bytes]:
    """Yield the samples of a shard, each as it stands there: of so many members as `sample_files` makes.

    Raises
    ------
    ShardError
        If the header of a member is damaged, or the file does not end as a tar does.
    OSError
        If the file cannot be read.
    """
    with path.open("rb") as file:
        end = os.fstat(file.fileno()).st_size - len(END)
        position = 0
        while position < end:
            members = []
            for _ in ENDINGS:
                members.append(_read_member(file, position, end))
                position += len(members[-1])
            yield b"".join(members)
        if file.read() != END:
            raise ShardError("truncated: it does not end with two empty blocks, as a tar does")


def _read_member(file: BufferedReader, position: int, end: int) -> bytes:
    block = file.read(BLOCK)
    if not is_header(block):
        raise ShardError(f"damaged: at byte {position:,} there is no header of a file in a tar")
    size = _size_in(block)
    length = size + -size % BLOCK
    if position + BLOCK + length > end:
        raise ShardError(f"truncated: it ends within the file at byte {position:,}")
    return block + file.read(length)
