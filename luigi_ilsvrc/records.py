"""Examples and the TFRecord files they stand in, byte for byte as tensorflow writes them, and without it.

``tf.train.Example`` and ``TFRecordWriter`` copy an image's bytes several times between them: measured, 99 µs of CPU for
an image of 105 kB, against 56 here, of which 35 are the system's own for writing as many bytes. And a process that has
imported tensorflow takes 17 ms to fork where it took 3 before, for each of 2,155 tasks.

An Example is a protocol buffer message of one shape,
https://protobuf.dev/programming-guides/encoding; its definition is tensorflow's ``example.proto`` and
``feature.proto``. The file's format: https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details.
"""

import os
import struct
from collections.abc import Mapping, Sequence
from functools import lru_cache
from io import FileIO
from pathlib import Path
from typing import NamedTuple

from google_crc32c import extend

FRAME = 16
"""Bytes that a TFRecord file adds to each record: its length (8), and CRC-32Cs of length and contents (4 each)."""

_LENGTH = struct.Struct("<Q")
_CRC = struct.Struct("<I")
_MASK_DELTA = 0xA282EAD8

# Field numbers.
_FEATURES, _ENTRY = 1, 1
_KEY, _VALUE = 1, 2
_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = 1, 2, 3
_VALUES = 1

_REMEMBERED = 1 << 13
"""Serialized features that are kept at hand: most images share all but their name, contents and boxes."""


class Feature(NamedTuple):
    """A serialized ``tf.train.Feature``: its first bytes, and the rest; large contents are the rest and not copied."""

    opening: bytes
    contents: bytes = b""


def bytes_feature(value: bytes) -> Feature:
    """Return a feature of one string of bytes."""
    opening = _tag(_VALUES, len(value))
    return Feature(_tag(_BYTES_LIST, len(opening) + len(value)) + opening, value)


@lru_cache(_REMEMBERED)
def text_feature(value: str) -> Feature:
    """Return a feature of one string, which is remembered."""
    return Feature(b"".join(bytes_feature(value.encode())))


@lru_cache(_REMEMBERED)
def int64_feature(*values: int) -> Feature:
    """Return a feature of whole numbers, none of them negative."""
    return _packed_feature(_INT64_LIST, b"".join(map(_varint, values)))


def float_feature(*values: float) -> Feature:
    """Return a feature of numbers, which are rounded to 32 bits."""
    return _packed_feature(_FLOAT_LIST, struct.pack(f"<{len(values)}f", *values))


def encode_example(features: Mapping[str, Feature]) -> list[bytes]:
    """Return a serialized ``tf.train.Example``, in pieces; its features are sorted by name so that bytes repeat."""
    pieces = []
    for name in sorted(features):
        opening, contents = features[name]
        pieces.append(_entry(name, opening, len(contents)))
        if contents:
            pieces.append(contents)
    return [_tag(_FEATURES, sum(map(len, pieces))), *pieces]


@lru_cache(_REMEMBERED)
def _entry(name: str, opening: bytes, rest: int) -> bytes:
    """Return an entry of the map of features, without the last `rest` bytes of its value."""
    entry = _field(_KEY, name.encode()) + _tag(_VALUE, len(opening) + rest) + opening
    return _tag(_ENTRY, len(entry) + rest) + entry


def _packed_feature(kind: int, packed: bytes) -> Feature:
    return Feature(_field(kind, _field(_VALUES, packed) if packed else b""))


def _field(number: int, contents: bytes) -> bytes:
    return _tag(number, len(contents)) + contents


def _tag(number: int, length: int) -> bytes:
    """Return what stands before a field of `length` bytes, of wire type 2."""
    return bytes((number << 3 | 2,)) + _varint(length)


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


class RecordWriter:
    """Writes an uncompressed TFRecord file; a context manager.

    Parameters
    ----------
    path : Path
        The file; what it holds is overwritten.
    """

    def __init__(self, path: Path) -> None:
        self._file = FileIO(str(path), "wb")

    def __enter__(self) -> "RecordWriter":
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def write(self, pieces: Sequence[bytes]) -> None:
        """Write a record, given in pieces; raises OSError, which names the file, where the disk does not take it."""
        length = _LENGTH.pack(sum(map(len, pieces)))
        crc = 0
        for piece in pieces:
            crc = extend(crc, piece)
        try:
            self._write_all([length, _masked(extend(0, length)), *pieces, _masked(crc)])
        except OSError as error:
            error.filename = self._file.name
            raise

    def _write_all(self, pieces: Sequence[bytes]) -> None:
        written = os.writev(self._file.fileno(), pieces)
        if written < sum(map(len, pieces)):
            # A disk that is all but full takes a part, and says why it does not take the rest when that is written.
            rest = memoryview(b"".join(pieces))
            while written < len(rest):
                written += os.write(self._file.fileno(), rest[written:])


def _masked(crc: int) -> bytes:
    """Return a CRC as the format has it: rotated, so that the CRC of a file that holds CRCs is not degenerate."""
    return _CRC.pack(((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF)
