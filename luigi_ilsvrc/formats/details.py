"""What was seen of each record while a shard was written, in any format: a row for each record."""

from collections.abc import Iterable
from typing import NamedTuple

from luigi_ilsvrc.dataset.images import RGBImage, as_rgb_jpeg
from luigi_ilsvrc.dataset.jpeg import traits
from luigi_ilsvrc.dataset.resize import Resize
from luigi_ilsvrc.layouts.index import ImageLocation

REENCODED = "reencoded"
"""The record does not hold the bytes of the image's file, but the same image."""

RESIZED = "resized"
"""The record holds a smaller image."""


class RecordDetails(NamedTuple):
    """One record of a shard.

    Attributes
    ----------
    image : str
        The image's file name.
    height, width : int
        Of the pixels as stored.
    offset, length : int
        Where all of the record lies in the shard, in bytes: with whatever the format puts before and behind it.
    size : int
        The size of the image's file, in bytes, as it came.
    encoded : int
        The size of the image in the record, in bytes.
    odd : str
        What is unusual, separated by spaces: `REENCODED` or `RESIZED`, and of the image in the record what
        `jpeg.traits` returns.
    """

    image: str
    height: int
    width: int
    offset: int
    length: int
    size: int
    encoded: int
    odd: str


def change_of(image: RGBImage, original: bytes, resize: Resize | None) -> str:
    """Return what was done to an image's file to make the image of its record: `REENCODED`, `RESIZED`, or nothing."""
    if image.encoded is original:
        return ""
    # What was re-encoded and is small enough has the size of the file's image.
    is_smaller = resize is not None and as_rgb_jpeg(original)[1:] != image[1:]
    return RESIZED if is_smaller else REENCODED


def details_of(location: ImageLocation, image: RGBImage, offset: int, length: int, change: str) -> RecordDetails:
    """Return the details of the record of an image that lies at `location`; see `RecordDetails` and `change_of`."""
    odd = " ".join([*([change] if change else []), *traits(image.encoded)])
    size = len(image.encoded)
    return RecordDetails(location.name, image.height, image.width, offset, length, location.size, size, odd)


def parse_records(text: str) -> list[RecordDetails]:
    """Return what `serialize_records` was given. Raises ValueError if the text is not what it returns."""
    header, *rows = text.splitlines()
    if header != ",".join(RecordDetails._fields):
        raise ValueError("the details are those of another version")
    return [_parse_row(*row.split(",")) for row in rows]


def _parse_row(image: str, *fields: str) -> RecordDetails:
    *numbers, odd = fields
    return RecordDetails(image, *map(int, numbers), odd)  # type: ignore[call-arg, arg-type]


def serialize_records(records: Iterable[RecordDetails]) -> str:
    """Return the details of a shard as a CSV with a header, in the order of the records."""
    # No field needs quotes: an image whose name does is not indexed.
    rows = [",".join(map(str, record)) for record in records]
    return "".join(f"{row}\n" for row in [",".join(RecordDetails._fields), *rows])
