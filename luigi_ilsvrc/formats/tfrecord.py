"""TFRecord: one ``tf.train.Example`` an image, in uncompressed files.

Features are those of the Inception scripts (``build_imagenet_data.py``). The file's format:
https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details.
"""

import itertools
import os
import re
import struct
from collections.abc import Iterator, Mapping, Sequence
from io import BufferedReader
from pathlib import Path

from google_crc32c import extend

from luigi_ilsvrc.dataset.images import RGBImage
from luigi_ilsvrc.dataset.splits import SPLITS
from luigi_ilsvrc.formats.example import (
    bytes_feature,
    encode_example,
    float_feature,
    int64_feature,
    read_bytes_feature,
    text_feature,
)
from luigi_ilsvrc.formats.plan import PlannedImage
from luigi_ilsvrc.formats.shard import ShardError
from luigi_ilsvrc.formats.side_files import SideFiles, Splits, each_shard
from luigi_ilsvrc.formats.tfds_metadata import metadata

# The format, see `formats.table.Format` ----------------------------------------------------------------

FOLDER = "tfrecords"
TASK = "TFRecord"
COUNT_IN_NAME = True

_SHARD_NAME = re.compile(rf"(?:{'|'.join(SPLITS)})-(\d{{5,}})-of-(\d{{5,}})")


def shard_name(split: str, shard: int, num_shards: int) -> str:
    """Return the file name of a shard: ``train-00000-of-01024``."""
    return f"{split}-{shard:05}-of-{num_shards:05}"


def is_shard_name(name: str) -> bool:
    """Tell whether `shard_name` gives this name, for any split and any number of shards."""
    parts = _SHARD_NAME.fullmatch(name)
    return parts is not None and int(parts[1]) < int(parts[2])


def encode(image: PlannedImage, jpeg: RGBImage) -> list[bytes]:
    """Return the serialized ``tf.train.Example`` of an image, in chunks; see `example.encode_example`."""
    xmins, ymins, xmaxs, ymaxs = zip(*image.boxes, strict=True) if image.boxes else ((),) * 4
    return encode_example(
        {
            "image/height": int64_feature(jpeg.height),
            "image/width": int64_feature(jpeg.width),
            "image/channels": int64_feature(3),
            "image/colorspace": text_feature("RGB"),
            "image/format": text_feature("JPEG"),
            "image/filename": bytes_feature(image.location.name.encode()),
            _ENCODED: bytes_feature(jpeg.encoded),
            "image/class/label": int64_feature(image.label),
            "image/class/synset": text_feature(image.location.synset),
            "image/class/text": text_feature(image.text),
            "image/object/bbox/xmin": float_feature(*xmins),
            "image/object/bbox/ymin": float_feature(*ymins),
            "image/object/bbox/xmax": float_feature(*xmaxs),
            "image/object/bbox/ymax": float_feature(*ymaxs),
            "image/object/bbox/label": int64_feature(*[image.label] * len(image.boxes)),
        }
    )


_ENCODED = "image/encoded"


def image_in(record: bytes) -> bytes:
    """Return the bytes of the image in a record that `encode` made.

    Raises
    ------
    ShardError
        If the record is not such an Example.
    """
    try:
        return read_bytes_feature(record, _ENCODED)
    except ValueError as error:
        raise ShardError(str(error)) from error


# Beside the shards ----------------------------------------------------------------


def _index_names(shard_counts: Mapping[str, int]) -> list[str]:
    return [shard_name(*shard) for shard in each_shard(shard_counts)]


def _write_index(splits: Splits) -> Iterator[tuple[str, bytes]]:
    """Yield the index of each shard as DALI's ``tfrecord2idx`` writes it: offset and length of each record."""
    for shard in itertools.chain.from_iterable(splits.values()):
        yield shard.name, "".join(f"{record.offset} {record.length}\n" for record in shard.records).encode()


SIDE_FILES: tuple[SideFiles, ...] = (
    SideFiles(
        task="TFRecordIndex",
        about="DALI's index of the TFRecord shards of a split.",
        folder="tfrecords_index",
        is_by_split=True,
        names=_index_names,
        is_name=is_shard_name,
        write=_write_index,
    ),
    metadata(FOLDER),
)

# The file ----------------------------------------------------------------

RECORD_OVERHEAD = 16
"""Bytes that the file adds to each record: its length (8), and CRC-32Cs of length and contents (4 each)."""

_LENGTH = struct.Struct("<Q")
_CRC = struct.Struct("<I")
_MASK_DELTA = 0xA282EAD8
_HEADER_SIZE = _LENGTH.size + _CRC.size


END = b""


def frame(chunks: Sequence[bytes]) -> list[bytes]:
    """Return a record as it stands in the file, in chunks: with its length, and the CRCs of length and contents."""
    length = _LENGTH.pack(sum(map(len, chunks)))
    crc = 0
    for chunk in chunks:
        crc = extend(crc, chunk)
    return [length, _masked(extend(0, length)), *chunks, _masked(crc)]


def _masked(crc: int) -> bytes:
    """Return a CRC as the format has it: rotated, so that the CRC of a file that holds CRCs is not degenerate."""
    return _CRC.pack(((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF)


def read_records(path: Path) -> Iterator[bytes]:
    """Yield the records of an uncompressed TFRecord file, checking the CRCs of their lengths and contents.

    Raises
    ------
    ShardError
        If a CRC is wrong, or the file ends within a record.
    OSError
        If the file cannot be read.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        position = 0
        while position < size:
            record = _read_record(file, position, size)
            position += len(record) + RECORD_OVERHEAD
            yield record


def _read_record(file: BufferedReader, position: int, size: int) -> bytes:
    header = file.read(_HEADER_SIZE)
    if len(header) < _HEADER_SIZE:
        raise ShardError(f"truncated: it ends within the record at byte {position:,}")
    packed_length, crc = header[: _LENGTH.size], header[_LENGTH.size :]
    if crc != _masked(extend(0, packed_length)):
        raise ShardError(f"damaged: the CRC of the record's length at byte {position:,} is wrong")
    (length,) = _LENGTH.unpack(packed_length)
    if position + length + RECORD_OVERHEAD > size:
        raise ShardError(f"truncated: it ends within the record at byte {position:,}")
    record = file.read(length)
    if file.read(_CRC.size) != _masked(extend(0, record)):
        raise ShardError(f"damaged: the CRC of the record at byte {position:,} is wrong")
    return record
